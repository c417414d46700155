"""A memory budget shared by all decoding threads, which wait for each other."""

from threading import Condition, Lock


class MemoryBudget:
    """A semaphore that counts bytes; a request for more than the total runs alone.

    First come, first served, so that a large image does not wait for ever.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._free = total
        self._lock = Lock()
        self._changed = Condition(self._lock)
        self._next = 0
        self._served = 0

    def hold(self, weight: int) -> "Share":
        """Return a context manager that holds so many bytes, once they are free."""
        return Share(self, min(max(weight, 0), self._total))

    def take(self, held: int) -> None:
        """Wait until so many bytes are free, and take them."""
        with self._lock:
            turn, self._next = self._next, self._next + 1
            if turn != self._served or held > self._free:
                self._changed.wait_for(lambda: self._served == turn and held <= self._free)
            self._served += 1
            self._free -= held
            self._tell()

    def give_back(self, held: int) -> None:
        """Release so many bytes."""
        with self._lock:
            self._free += held
            self._tell()

    def _tell(self) -> None:
        if self._served != self._next:  # seldom true: most images take next to nothing
            self._changed.notify_all()


class Share:
    """A part of a budget: a context manager kept minimal, since every image enters one."""

    __slots__ = ("_budget", "_held")

    def __init__(self, budget: MemoryBudget, held: int) -> None:
        self._budget, self._held = budget, held

    def __enter__(self) -> None:
        self._budget.take(self._held)

    def __exit__(self, *_: object) -> None:
        self._budget.give_back(self._held)
