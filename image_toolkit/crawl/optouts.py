"""Opt-outs that a host states in the headers of a reply: X-Robots-Tag and TDM reservation."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from image_toolkit.crawl.fetch_errors import FetchError
from image_toolkit.crawl.reply import Reply

OPT_OUTS: Final = frozenset({"noai", "noimageai", "noindex", "noimageindex", "noml", "none"})
"""Directives of X-Robots-Tag that keep an image out; `none` is short for noindex, nofollow."""

_AGENT: Final = re.compile(r"\s*([a-z0-9_.*-]+)\s*:\s*(.*)", re.DOTALL)
_WITH_VALUE: Final = frozenset(
    {"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"}
)


def check_opt_outs(reply: Reply, agent: str) -> None:
    """Refuse a reply that its host reserves. `agent` is one's own product token, lower case.

    Raises:
        FetchError: `x_robots_tag` or `tdm_reservation`.
    """
    for directive in robots_directives(reply.values("x-robots-tag"), agent):
        if directive in OPT_OUTS:
            message = f"{reply.url.host}: X-Robots-Tag: {directive}"
            raise FetchError(reason="x_robots_tag", message=message)
    if (reply.header("tdm-reservation") or "").strip() == "1":
        policy = reply.header("tdm-policy") or "no policy named"
        message = f"{reply.url.host}: tdm-reservation: 1, {policy}"
        raise FetchError(reason="tdm_reservation", message=message)


def robots_directives(values: Iterable[str], agent: str) -> Iterator[str]:
    """Yield the directives of X-Robots-Tag headers that are for everybody or for `agent`.

    A name before a colon limits what follows it, in that header, to that agent.
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
