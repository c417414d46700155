"""robots.txt (RFC 9309), fetched once per host."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from cachetools import LRUCache
from protego import Protego

from image_toolkit.crawl.fetch_errors import FetchError
from image_toolkit.crawl.fetch_retry import backoff, is_ok
from image_toolkit.crawl.reply import Reply
from image_toolkit.crawl.urls import Url, parse_url

LONGEST: Final = 500 << 10
"""Bytes of a robots.txt that are parsed, as in the RFC."""

_LONGEST_DELAY: Final = 30.0
_KEEP_BAD: Final = 300.0
_MOST_BYTES: Final = 64 << 20
_BYTES_A_HOST: Final = 512  # besides those of its robots.txt

FetchRobots = Callable[[Url], Awaitable[Reply]]
"""Fetches a robots.txt, following redirects; raises `FetchError`, including for server errors."""


@dataclass(frozen=True)
class Rules:
    """The rules of a host; without a `parser`, everything is allowed or, with an `error`, nothing.

    `size` is in bytes. An error is valid until `expires`, on the monotonic clock, and has occurred
    `failures` times in a row.
    """

    parser: Protego | None = None
    size: int = 0
    error: FetchError | None = None
    expires: float = float("inf")
    failures: int = 0


class Robots:
    """Decides which URLs an agent may fetch, by each host's rules. For one event loop.

    `agent` is the product token alone: the rest of a User-Agent header, such as a contact address,
    may contain other names.

    The rules of the most recently used hosts are cached, up to `most_bytes`; others are fetched
    again. Failures to get a robots.txt are cached too, for increasing times: a host with a thousand
    URLs is not asked for it a thousand times.
    """

    def __init__(self, fetch: FetchRobots, agent: str, most_bytes: int = _MOST_BYTES) -> None:
        self._fetch = fetch
        self._agent = agent
        self._known: LRUCache[str, Rules] = LRUCache(most_bytes, lambda r: _BYTES_A_HOST + r.size)
        self._under_way: dict[str, asyncio.Task[Rules]] = {}

    @property
    def hosts(self) -> int:
        """The number of hosts whose rules are cached."""
        return len(self._known)

    async def check(self, url: Url) -> float:
        """Return the seconds that the host wants between two requests; 0 if it does not say.

        Raises:
            FetchError: `robots_txt` if the host disallows the URL, `robots_unreachable` if its
                robots.txt is unavailable, which the RFC treats as a complete disallow.
        """
        rules = await self._rules(url)
        if rules.error is not None:
            raise _again(rules.error)
        if rules.parser is None:
            return 0.0
        if not rules.parser.can_fetch(url.text, self._agent):
            message = f"{url.host}: disallowed by robots.txt"
            raise FetchError(reason="robots_txt", message=message)
        return min(rules.parser.crawl_delay(self._agent) or 0.0, _LONGEST_DELAY)

    async def _rules(self, url: Url) -> Rules:
        known = self._known.get(url.origin)
        if known is not None and known.expires > time.monotonic():
            return known
        task = self._under_way.get(url.origin)
        if task is None:
            failures = 0 if known is None else known.failures
            task = self._under_way[url.origin] = asyncio.create_task(self._learn(url, failures))
        return await asyncio.shield(task)

    async def _learn(self, url: Url, failures: int) -> Rules:
        """Fetch the rules of a host, and cache them."""
        try:
            rules = await self._ask(url, failures)
            self._known[url.origin] = rules
        finally:
            del self._under_way[url.origin]
        return rules

    async def _ask(self, url: Url, failures: int) -> Rules:
        try:
            reply = await self._fetch(parse_url(f"{url.origin}/robots.txt"))
        except FetchError as error:
            if error.reason == "too_many_redirects":
                return Rules()
            return _unreachable(url, error, failures)
        if not is_ok(reply):  # no rules there: everything is allowed
            return Rules()
        text = bytes(reply.body[:LONGEST]).decode("utf-8-sig", "replace")  # a mark hides line one
        return Rules(Protego.parse(text), len(text))


def _unreachable(url: Url, error: FetchError, failures: int) -> Rules:
    """Return the rules of a host whose robots.txt was unavailable once more."""
    answered = error.reason.startswith("http_")
    passing = answered or error.passing
    why = error.reason.replace("http_", "status ") if answered else error.reason
    told = FetchError(
        reason="robots_unreachable" if answered else error.reason,
        message=f"{url.host}: its robots.txt cannot be had: {why}",
        passing=passing,
        retry_after=error.retry_after,
    )
    wait = max(backoff(failures), error.retry_after or 0.0) if passing else _KEEP_BAD
    expires = time.monotonic() + min(wait, _KEEP_BAD)
    return Rules(error=told, expires=expires, failures=failures + 1)


def _again(error: FetchError) -> FetchError:
    """Return a copy of an error, since each is raised once, for one URL."""
    return FetchError(
        reason=error.reason,
        message=error.message,
        passing=error.passing,
        retry_after=error.retry_after,
    )
