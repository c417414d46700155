"""The feed: rows in, model batches out, their cells prepared ahead of the device.

On a GPU processes prepare the next batches while the device is busy. A CPU has no cores to spare
for that: threads that decode while the model multiplies make the model's threads wait for each
other. There (`ahead=0`) all cores prepare a batch, in threads, and then all cores run the model on
it.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, Generic, TypeVar

import pyarrow as pa

from fondant_spec.cpu import cpu_count
from fondant_spec.dataset.rejects import Rejects
from image_toolkit.images.image_errors import NotAnImageError
from image_toolkit.models.runtime.arrow_cells import Cells
from image_toolkit.models.runtime.preparation import PixelPreparation
from image_toolkit.models.runtime.preparing_processes import ROWS_AT_ONCE, PreparingProcesses
from image_toolkit.models.runtime.slots import Slot, close_ranks, slots_for

SAMPLES: Final = 16
"""So many cells are looked at beforehand, where a GPU's settings are found by trial."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class ArrowCell:
    """A cell that is still Arrow's: whoever asks for it makes a copy, and lets it go soon."""

    column: Cells
    number: int


@dataclass(frozen=True)
class FeedRow:
    """A row on its way to the model: its id, the cell to prepare, and what else is needed of it."""

    id: str
    data: Any
    fields: dict[str, Any] = field(default_factory=dict)

    def cell(self) -> Any:
        """Return the cell to prepare.

        Raises:
            UnusableError: it is null.
        """
        cell = self.data
        return _there(cell.column.value(cell.number) if isinstance(cell, ArrowCell) else cell)

    def file(self) -> bytes | memoryview:
        """Return the cell to prepare, which is bytes, without a copy.

        Raises:
            UnusableError: it is null.
        """
        cell = self.data
        there = cell.column.view(cell.number) if isinstance(cell, ArrowCell) else cell
        file: bytes | memoryview = _there(there)
        return file


def _there(cell: Any) -> Any:
    if cell is None:
        raise UnusableError(reason="missing", message="the cell is null")
    return cell


class UnusableError(Exception):
    """A cell that cannot go to the model; `reason` is a short code for the reject table."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how to make it once more, in another process."""
        return type(self), (self.reason, str(self))


@dataclass
class Group(Generic[Item]):
    """Rows whose cells are prepared, in order; the unusable ones are gone to the rejects."""

    rows: list[FeedRow] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)


def rows_of(
    batches: Iterator[pa.RecordBatch],
    column: str,
    others: tuple[str, ...] = (),
) -> Iterator[FeedRow]:
    """Yield the rows of all batches: so model batches need not end where record batches end."""
    for batch in batches:
        cells = Cells(batch.column(column))
        beside = {name: batch.column(name) for name in others if name in batch.schema.names}
        for number, row_id in enumerate(batch.column("id").to_pylist()):
            fields = {name: values[number].as_py() for name, values in beside.items()}
            yield FeedRow(row_id, ArrowCell(cells, number), fields)


def prepared(prepare: Callable[[Any], Any], row: FeedRow, slot: Slot | None) -> Any:
    """Return what is prepared of a row's cell: the slot, if there is one.

    It is filled, or awaits a process that shares its memory.

    Raises:
        NotAnImageError: as `prepare` does.
        UnusableError: as `prepare` does, or the cell is null.
    """
    if slot is None:
        return prepare(row.cell())
    if slot.batch.file is None:
        slot.fill(prepare(row.cell()))
    else:
        slot.awaits = row.file()
    return slot


class Feed(Generic[Item]):
    """Prepares the cells of rows, `ahead` groups before they are asked for.

    Threads do it, each of which takes the next row of a group until none is left; or, where there
    are `processes`, the next rows, whose pixels it has prepared by a process. Several partitions
    may be fed at the same time, each from a thread of its own.
    """

    def __init__(
        self,
        prepare: Callable[..., Item],
        size: Callable[[], int],
        *,
        ahead: int = 0,
        into: Sequence[Callable[..., Any]] = (),
        pinned: bool = False,
        processes: PreparingProcesses | None = None,
    ) -> None:
        """Have `prepare` called with a row, and its slot for what each of `into` makes of it.

        There is none for what is not pixels. `pinned`: batches are for a GPU. The processes belong
        to the feed, which ends those that it has no use for.
        """
        if processes is not None and not any(isinstance(one, PixelPreparation) for one in into):
            processes.close()
            processes = None
        self._prepare = prepare
        self._size = size
        self._ahead = ahead
        self._processes = processes
        shared = processes is not None
        self._slots = [slots_for(one, pinned=pinned, shared=shared) for one in into]
        self._threads = cpu_count() if processes is None else processes.count
        self._pool = ThreadPoolExecutor(self._threads, "prepare")

    @property
    def partitions_at_once(self) -> int:
        """How many partitions to feed side by side.

        On a GPU three: it has work from others while one begins and one ends.
        """
        return 3 if self._ahead else 1

    def groups(self, rows: Iterator[FeedRow], rejects: Rejects) -> Iterator[Group[Item]]:
        """Yield the rows in groups of the present batch size, in order, without empty groups."""
        pending: deque[_Preparing[Item]] = deque()
        while chunk := list(islice(rows, self._size())):
            group = _Preparing(chunk, [make(len(chunk)) for make in self._slots], self._prepare)
            group.start(self._pool, self._threads, self._processes)
            pending.append(group)
            if len(pending) > self._ahead:
                yield from pending.popleft().settled(rejects)
        while pending:
            yield from pending.popleft().settled(rejects)

    def close(self) -> None:
        """Stop the threads, and end the processes."""
        self._pool.shutdown(wait=self._processes is None, cancel_futures=True)
        if self._processes is not None:
            self._processes.close()
            self._pool.shutdown()


class _Preparing(Generic[Item]):
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
        """Have so many threads work on it."""
        count = len(self._rows)
        step = 1 if processes is None else max(1, min(ROWS_AT_ONCE, count // threads))
        pieces = [range(start, min(start + step, count)) for start in range(0, count, step)]
        left = iter(pieces)  # a thread takes the next one without a lock
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
            return error.with_traceback(None)  # which leads back to here

    def _fill(self, numbers: range, processes: PreparingProcesses) -> None:
        """Have those slots filled that await it."""
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
        """Yield the group once all is prepared, unless nothing of it can be used."""
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


def usable(prepare: Callable[[Any], Any], cells: Sequence[Any]) -> list[Any]:
    """Return what can be prepared of some cells; the others become rejects in their turn."""
    items = []
    for cell in cells:
        try:
            items.append(prepare(cell))
        except (NotAnImageError, UnusableError):
            continue
    return items
