"""Bounded memory: how many bytes of bodies may be under way or waiting to be taken."""

from collections.abc import Callable
from threading import Lock
from typing import Final

_HARD: Final = 4


class ByteBudget:
    """Counts the bytes of bodies from their arrival until somebody has taken them.

    Beyond `most` no transfer is started; beyond four times that, which takes many large bodies at
    once, those that still grow are ended. From any thread.
    """

    def __init__(self, most: int, wake: Callable[[], None]) -> None:
        self._most = most
        self._wake = wake
        self._held = 0
        self._starved = False
        self._lock = Lock()

    def take(self, count: int) -> bool:
        """Count bytes that arrived; False where there is no room for them at all."""
        with self._lock:
            if self._held + count > _HARD * self._most:
                return False
            self._held += count
            return True

    def give_back(self, count: int) -> None:
        """Count bytes that are gone; whoever found no room is woken once there is."""
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
