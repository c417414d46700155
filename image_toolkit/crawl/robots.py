"""robots.txt (RFC 9309), fetched once for each host."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from cachetools import LRUCache
from protego import Protego

from image_toolkit.crawl.fetch_errors import FetchError
from image_toolkit.crawl.transfer import Reply
from image_toolkit.crawl.urls import Url, parse_url

LONGEST: Final = 500 << 10
"""Bytes that are read of a robots.txt, as the RFC has it."""

_LONGEST_DELAY: Final = 30.0
_HOSTS: Final = 100_000

FetchRobots = Callable[[Url], Awaitable[Reply]]
"""Fetches a robots.txt, redirects and all; raises `FetchError`."""


@dataclass(frozen=True)
class Rules:
    """What one host allows; without a `parser`, everything or, if `error`, nothing."""

    parser: Protego | None = None
    error: FetchError | None = None


class Robots:
    """Decides which URLs an agent may fetch, by the rules of each host. One event loop.

    The rules of the hosts that were asked last are remembered; others are fetched anew.
    """

    def __init__(self, fetch: FetchRobots, user_agent: str) -> None:
        self._fetch = fetch
        self._user_agent = user_agent
        self._known: LRUCache[str, asyncio.Future[Rules]] = LRUCache(_HOSTS)

    async def check(self, url: Url) -> float:
        """Return the seconds that the host wants between two requests; 0 where it does not say.

        Raises:
            FetchError: `robots_txt` where the host disallows the URL, `robots_unreachable` where
                its robots.txt cannot be had at present: the RFC takes that for a complete "no".
        """
        future = self._known.get(url.origin)
        if future is None:
            future = self._known[url.origin] = asyncio.ensure_future(self._rules(url))
        rules = await asyncio.shield(future)
        if rules.error is not None:
            if self._known.get(url.origin) is future:
                del self._known[url.origin]  # so that a later attempt asks again
            raise rules.error
        if rules.parser is None:
            return 0.0
        if not rules.parser.can_fetch(url.text, self._user_agent):
            message = f"{url.host}: disallowed by robots.txt"
            raise FetchError(reason="robots_txt", message=message)
        return min(rules.parser.crawl_delay(self._user_agent) or 0.0, _LONGEST_DELAY)

    async def _rules(self, url: Url) -> Rules:
        try:
            reply = await self._fetch(parse_url(f"{url.origin}/robots.txt"))
        except FetchError as error:
            if error.reason == "too_many_redirects":
                return Rules()
            return Rules(error=_unreachable(url, error.reason, error))
        if reply.status >= 500 or reply.status == 429:  # noqa: PLR2004
            return Rules(error=_unreachable(url, f"status {reply.status}", None))
        if reply.status != 200:  # noqa: PLR2004 - no rules there: all is allowed
            return Rules()
        return Rules(Protego.parse(bytes(reply.body[:LONGEST]).decode("utf-8", "replace")))


def _unreachable(url: Url, why: str, error: FetchError | None) -> FetchError:
    return FetchError(
        reason="robots_unreachable" if error is None else error.reason,
        message=f"{url.host}: its robots.txt cannot be had: {why}",
        passing=error is None or error.passing,
        host_failed=error is None or error.host_failed,
    )
