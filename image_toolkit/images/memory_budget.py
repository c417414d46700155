"""One budget of memory for all threads that decode: they wait for each other."""

from threading import Condition, Lock


class MemoryBudget:
    """A semaphore whose holders weigh so many bytes each; one that weighs more than all runs alone.

    Whoever came first is served first, so that a large image does not wait for ever.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._free = total
        self._lock = Lock()
        self._changed = Condition(self._lock)
        self._next = 0
        self._served = 0

    def hold(self, weight: int) -> "Share":
        """Return what holds so many bytes, once they are free, for as long as it is entered."""
        return Share(self, min(max(weight, 0), self._total))

    def take(self, held: int) -> None:
        """Wait for so many bytes."""
        with self._lock:
            turn, self._next = self._next, self._next + 1
            if turn != self._served or held > self._free:
                self._changed.wait_for(lambda: self._served == turn and held <= self._free)
            self._served += 1
            self._free -= held
            self._tell()

    def give_back(self, held: int) -> None:
        """Let others have so many bytes."""
        with self._lock:
            self._free += held
            self._tell()

    def _tell(self) -> None:
        if self._served != self._next:  # seldom: most images take next to nothing
            self._changed.notify_all()


class Share:
    """A part of a budget: a context, as plain as can be, since every image enters one."""

    __slots__ = ("_budget", "_held")

    def __init__(self, budget: MemoryBudget, held: int) -> None:
        self._budget, self._held = budget, held

    def __enter__(self) -> None:
        self._budget.take(self._held)

    def __exit__(self, *_: object) -> None:
        self._budget.give_back(self._held)
