"""Clocks that a test can move, in place of a module's `time` or an event loop's own clock."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any


class MovedClock:
    """Goes on only while somebody sleeps, and keeps how long each wished to.

    Args:
        meanwhile: is called in each sleep, for what others do in that time.
    """

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self._meanwhile = meanwhile

    def monotonic(self) -> float:
        """Return the time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Move on at once."""
        self.slept.append(seconds)
        self.now += seconds
        self._meanwhile()


class _Idle(selectors.DefaultSelector):
    """Does not wait: the loop's time jumps to what is due next."""

    moved = 0.0

    def select(self, timeout: float | None = None) -> Any:
        events = super().select(0)
        if not events and timeout:
            self.moved += timeout
        return events


class _MovedLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._idle = _Idle()
        super().__init__(self._idle)

    def time(self) -> float:
        return self._idle.moved


def run_at_once(work: Coroutine[Any, Any, Any]) -> Any:
    """Run what waits for nothing but the time of its event loop, which goes on as it waits."""
    with asyncio.Runner(loop_factory=_MovedLoop) as runner:
        return runner.run(work)
