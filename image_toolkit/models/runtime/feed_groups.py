"""Groups of rows, as large as a model's batch, whose cells are prepared in parallel."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from fondant_spec.dataset.rejects import Rejects
from image_toolkit.images.image_errors import NotAnImageError
from image_toolkit.models.runtime.feed_rows import FeedRow, UnusableError
from image_toolkit.models.runtime.preparing_processes import ROWS_AT_ONCE, PreparingProcesses
from image_toolkit.models.runtime.slots import Slot, close_ranks

Item = TypeVar("Item")


@dataclass
class Group(Generic[Item]):
    """Rows with prepared cells, in order; the unusable ones were rejected."""

    rows: list[FeedRow] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)


class GroupAtWork(Generic[Item]):
    """A group whose rows are being prepared."""

    def __init__(
        self,
        rows: list[FeedRow],
        slots: list[Sequence[Slot | None]],
        prepare: Callable[..., Item],
    ) -> None:
        self._rows = rows
        self._slots = slots
        self._prepare = prepare
        self._made: list[Any] = [None] * len(rows)
        self._work: list[Future[None]] = []

    def start(
        self, pool: ThreadPoolExecutor, threads: int, processes: PreparingProcesses | None
    ) -> None:
        """Start so many threads on it."""
        count = len(self._rows)
        step = 1 if processes is None else max(1, min(ROWS_AT_ONCE, count // threads))
        pieces = [range(start, min(start + step, count)) for start in range(0, count, step)]
        left = iter(pieces)  # threads take from it without a lock
        for _ in range(min(threads, len(pieces))):
            self._work.append(pool.submit(self._take, left, processes))

    def _take(self, left: Iterator[range], processes: PreparingProcesses | None) -> None:
        for numbers in left:
            for number in numbers:
                self._made[number] = self._begun(number)
            if processes is not None:
                self._fill(numbers, processes)

    def _begun(self, number: int) -> Any:
        try:
            return self._prepare(self._rows[number], *(slots[number] for slots in self._slots))
        except (NotAnImageError, UnusableError) as error:
            return error.with_traceback(None)  # whose frames keep the group alive

    def _fill(self, numbers: range, processes: PreparingProcesses) -> None:
        """Have a process fill the slots that wait for one."""
        waiting: dict[int, list[Slot]] = {}
        for number in numbers:
            own = [slot for slots in self._slots if (slot := slots[number]) is not None]
            own = [slot for slot in own if slot.awaits is not None]
            if own and not isinstance(self._made[number], (NotAnImageError, UnusableError)):
                waiting[number] = own
        for number, error in zip(waiting, processes.fill([*waiting.values()]), strict=True):
            if error is not None:
                self._made[number] = error

    def settled(self, rejects: Rejects) -> Iterator[Group[Item]]:
        """Yield the group once all is prepared, unless nothing in it is usable."""
        for work in self._work:
            work.result()
        kept = []
        for number, (row, made) in enumerate(zip(self._rows, self._made, strict=True)):
            if isinstance(made, (NotAnImageError, UnusableError)):
                rejects.add(row.id, made.reason, str(made))
            else:
                kept.append(number)
        for slots in self._slots:
            close_ranks([slots[number] for number in kept])
        if kept:
            rows = [self._rows[number] for number in kept]
            yield Group(rows, [self._made[number] for number in kept])
