"""A memory budget: the bytes of response bodies in transfer or not yet consumed."""

from collections.abc import Callable
from threading import Lock
from typing import Final

_HARD: Final = 4


class ByteBudget:
    """Counts the bytes of bodies from their arrival until they are consumed. Thread-safe.

    Above `most`, no transfer is started; above four times that, which takes many large bodies at
    once, growing transfers are aborted.
    """

    def __init__(self, most: int, wake: Callable[[], None]) -> None:
        self._most = most
        self._wake = wake
        self._held = 0
        self._starved = False
        self._lock = Lock()

    def take(self, count: int) -> bool:
        """Count bytes that arrived; return False if there is no room for them."""
        with self._lock:
            if self._held + count > _HARD * self._most:
                return False
            self._held += count
            return True

    def give_back(self, count: int) -> None:
        """Release bytes; wakes whoever found no room, once there is some."""
        with self._lock:
            self._held -= count
            wake = self._starved and self._held < self._most
            self._starved = self._starved and not wake
        if wake:
            self._wake()

    def has_room(self) -> bool:
        """Return whether another transfer may start; if not, `wake` is called when one may."""
        with self._lock:
            self._starved = self._held >= self._most
            return not self._starved
