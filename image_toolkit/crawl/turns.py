"""Turns at a host: every single request waits for one, whatever its purpose."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from image_toolkit.crawl.fetch_errors import FetchError
from image_toolkit.crawl.fetch_limits import FetchLimits
from image_toolkit.crawl.frontier import Frontier


class _Turn:
    """A place in the queue of a host; `come` is done when the turn has come."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.come: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Turns:
    """Makes requests wait for their turn at a host, as dealt by a frontier. For one event loop."""

    def __init__(self, limits: FetchLimits, has_room: Callable[[], bool]) -> None:
        self._frontier: Frontier[_Turn] = Frontier(limits, self._start, _refuse, has_room)
        self.slow_down = self._frontier.slow_down
        self.pump = self._frontier.pump

    @asynccontextmanager
    async def at(self, origin: str) -> AsyncIterator[None]:
        """Wait for a turn at a host; the turn ends with the block.

        A `FetchError` raised in the block counts against the host, if it is the host's fault.

        Raises:
            FetchError: `host_down`: the host is being left alone.
        """
        turn = _Turn(origin)
        self._frontier.put(turn)
        try:
            await turn.come
        except asyncio.CancelledError:
            if turn.come.done() and not turn.come.cancelled() and turn.come.exception() is None:
                self._frontier.done(origin, None)
            raise
        error = None
        try:
            yield
        except FetchError as caught:
            error = caught
            raise
        finally:
            self._frontier.done(origin, error)

    def _start(self, turn: _Turn) -> None:
        if turn.come.done():  # cancelled while waiting
            self._frontier.done(turn.origin, None)
        else:
            turn.come.set_result(None)


def _refuse(turn: _Turn, error: FetchError) -> None:
    if not turn.come.done():
        turn.come.set_exception(error)
