"""One budget of memory for all threads that decode: they wait for each other."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class MemoryBudget:
    """A semaphore whose holders weigh so many bytes each; one that weighs more than all runs alone.

    Whoever came first is served first, so that a large image does not wait for ever.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._free = total
        self._changed = Condition()
        self._next = 0
        self._served = 0

    @contextmanager
    def hold(self, weight: int) -> Iterator[None]:
        """Hold so many bytes, once they are free."""
        held = min(max(weight, 0), self._total)
        with self._changed:
            turn, self._next = self._next, self._next + 1
            self._changed.wait_for(lambda: self._served == turn and held <= self._free)
            self._served += 1
            self._free -= held
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free += held
                self._changed.notify_all()
