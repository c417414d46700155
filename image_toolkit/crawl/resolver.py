"""Host names to addresses: looked up once, with every answer checked.

The system resolver does the lookups, on a few threads: with hundreds at a time, home routers and
cloud resolvers drop queries, which is the commonest cause of failed downloads.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from cachetools import LRUCache

from image_toolkit.crawl.addresses import AddressPolicy
from image_toolkit.crawl.fetch_errors import FetchError

Lookup = Callable[[str], list[str]]
"""Returns the numeric addresses of a host name; raises `OSError` if it has none."""

_THREADS: Final = 16
_TRIES: Final = 2
_PAUSE: Final = 0.5
_KEEP_GOOD: Final = 300.0
_KEEP_BAD: Final = 30.0
_HOSTS: Final = 20_000


def system_lookup(host: str) -> list[str]:
    """Return the system resolver's addresses for a host, in its order of preference."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass
class _Answer:
    future: asyncio.Future[list[str]]
    expires: float


class Resolver:
    """Resolves names and caches the answers, failures for a shorter time. For one event loop.

    The cache keeps the most recently used hosts.
    """

    def __init__(self, policy: AddressPolicy, lookup: Lookup = system_lookup) -> None:
        self._policy = policy
        self._lookup = lookup
        self._known: LRUCache[str, _Answer] = LRUCache(_HOSTS)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="dns")

    async def resolve(self, host: str) -> list[str]:
        """Return the addresses of a host, all of them allowed by the policy.

        Raises:
            FetchError: `dns_failure`, or `private_address` if any one address is not allowed.
        """
        answer = self._known.get(host)
        if answer is None or answer.expires < time.monotonic():
            future = asyncio.ensure_future(self._ask(host))
            answer = self._known[host] = _Answer(future, time.monotonic() + _KEEP_GOOD)
        try:
            addresses = await asyncio.shield(answer.future)
        except OSError as error:
            answer.expires = min(answer.expires, time.monotonic() + _KEEP_BAD)
            passing = error.errno == socket.EAI_AGAIN
            raise FetchError(
                reason="dns_failure", message=str(error), passing=passing, host_failed=True
            ) from None
        refused = [a for a in addresses if not self._policy.allows(a)]
        if refused or not addresses:
            message = f"{host} is {', '.join(refused) or 'nowhere'}"
            raise FetchError(reason="private_address", message=message)
        return addresses

    def close(self) -> None:
        """End the threads, without waiting for lookups that hang."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, host: str) -> list[str]:
        loop = asyncio.get_running_loop()
        for _ in range(_TRIES - 1):
            try:
                return await loop.run_in_executor(self._threads, self._lookup, host)
            except OSError as error:
                if error.errno != socket.EAI_AGAIN:
                    raise
            await asyncio.sleep(_PAUSE)
        return await loop.run_in_executor(self._threads, self._lookup, host)
