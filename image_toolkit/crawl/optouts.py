"""Opt-outs in response headers: X-Robots-Tag and the TDM Reservation Protocol."""

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from image_toolkit.crawl.fetch_errors import FetchError
from image_toolkit.crawl.reply import Reply

OPT_OUTS: Final = frozenset({"noai", "noimageai", "noindex", "noimageindex", "noml", "none"})
"""X-Robots-Tag directives that exclude an image; `none` is short for noindex, nofollow."""

_AGENT: Final = re.compile(r"\s*([a-z0-9_.*-]+)\s*:\s*(.*)", re.DOTALL)
_WITH_VALUE: Final = frozenset(
    {"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"}
)


class OptOut(NamedTuple):
    """An opt-out: a short code for the reject table, and a message for people."""

    reason: str
    message: str


def opt_out_of(reply: Reply, agent: str) -> OptOut | None:
    """Return the opt-out in a reply, if any: `x_robots_tag` or `tdm_reservation`.

    `agent` is the crawler's own product token, in lower case.
    """
    for directive in robots_directives(reply.values("x-robots-tag"), agent):
        if directive in OPT_OUTS:
            return OptOut("x_robots_tag", f"X-Robots-Tag: {directive}")
    if (reply.header("tdm-reservation") or "").strip() == "1":
        policy = reply.header("tdm-policy") or "no policy named"
        return OptOut("tdm_reservation", f"tdm-reservation: 1, {policy}")
    return None


def note_opt_out(reply: Reply, agent: str, *, respected: bool) -> None:
    """Record the opt-out of a reply, and refuse the reply if opt-outs are respected.

    Raises:
        FetchError: `x_robots_tag` or `tdm_reservation`.
    """
    found = opt_out_of(reply, agent)
    if found is None:
        return
    if respected:
        raise FetchError(reason=found.reason, message=f"{reply.url.host}: {found.message}")
    reply.opt_out = found.message


def robots_directives(values: Iterable[str], agent: str) -> Iterator[str]:
    """Yield the directives of X-Robots-Tag headers that apply to all agents or to `agent`.

    A name before a colon restricts what follows in that header to that agent.
    """
    for value in values:
        applies = True
        for part in value.lower().split(","):
            directive = part.strip()
            named = _AGENT.fullmatch(directive)
            if named is not None and named[1] not in _WITH_VALUE:
                applies = named[1] in ("*", agent)
                directive = named[2].strip()
            if applies and directive:
                yield directive
