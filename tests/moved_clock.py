"""A clock that a test moves, in the place of a module's `time`."""

from collections.abc import Callable


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
