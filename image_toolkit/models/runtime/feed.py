"""The feed: rows in, model batches out, their cells prepared by threads ahead of the device.

On a GPU the threads work on the next batches while the device is busy. A CPU has no cores to spare
for that: threads that decode while the model multiplies make the model's threads wait for each
other. There (`ahead=0`) all cores prepare a batch, and then all cores run the model on it.
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
from image_toolkit.models.runtime.slots import MakeSlots, Slot, close_ranks

SAMPLES: Final = 16
"""So many cells are looked at beforehand, where a GPU's settings are found by trial."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class ArrowCell:
    """A cell that is still Arrow's: whoever asks for it makes a copy, and lets it go soon."""

    column: pa.Array
    number: int

    def value(self) -> Any:
        """Return the cell as Python's."""
        return self.column[self.number].as_py()


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
        cell = self.data.value() if isinstance(self.data, ArrowCell) else self.data
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
        cells = batch.column(column)
        beside = {name: batch.column(name) for name in others if name in batch.schema.names}
        for number, row_id in enumerate(batch.column("id").to_pylist()):
            fields = {name: values[number].as_py() for name, values in beside.items()}
            yield FeedRow(row_id, ArrowCell(cells, number), fields)


class Feed(Generic[Item]):
    """Prepares the cells of rows in threads, `ahead` groups before they are asked for.

    Each thread takes the next row of a group until none is left. Several partitions may be fed at
    the same time, each from a thread of its own.
    """

    def __init__(
        self,
        prepare: Callable[..., Item],
        size: Callable[[], int],
        *,
        ahead: int = 0,
        slots: Sequence[MakeSlots] = (),
    ) -> None:
        """Have `prepare` called with a row, and its slot of each kind that `slots` makes."""
        self._prepare = prepare
        self._size = size
        self._ahead = ahead
        self._slots = slots
        self._threads = cpu_count()
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
            pending.append(_Preparing(chunk, [make(len(chunk)) for make in self._slots]))
            pending[-1].start(self._pool, self._threads, self._prepare)
            if len(pending) > self._ahead:
                yield from pending.popleft().settled(rejects)
        while pending:
            yield from pending.popleft().settled(rejects)

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(cancel_futures=True)


class _Preparing(Generic[Item]):
    """A group whose rows are being prepared."""

    def __init__(self, rows: list[FeedRow], slots: list[Sequence[Slot | None]]) -> None:
        self._rows = rows
        self._slots = slots
        self._left = iter(range(len(rows)))  # a thread takes the next number without a lock
        self._made: list[Any] = [None] * len(rows)
        self._work: list[Future[None]] = []

    def start(self, pool: ThreadPoolExecutor, threads: int, prepare: Callable[..., Item]) -> None:
        """Have so many threads work on it."""
        for _ in range(min(threads, len(self._rows))):
            self._work.append(pool.submit(self._take, prepare))

    def _take(self, prepare: Callable[..., Item]) -> None:
        for number in self._left:
            try:
                made: Any = prepare(self._rows[number], *(slots[number] for slots in self._slots))
            except (NotAnImageError, UnusableError) as error:
                made = error.with_traceback(None)  # which leads back to here
            self._made[number] = made

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
