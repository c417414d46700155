"""The feed: rows in, model batches out, their cells prepared by threads ahead of the device.

On a GPU the threads work on the next batches while the device is busy. A CPU has no cores to spare
for that: threads that decode while the model multiplies make the model's threads wait for each
other. There (`ahead=0`) all cores prepare a batch, and then all cores run the model on it.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic, TypeVar

import pyarrow as pa

from fondant_spec.cpu import cpu_count
from fondant_spec.dataset.rejects import Rejects
from image_toolkit.images.image_errors import NotAnImageError

Item = TypeVar("Item")


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
        if self.data is None:
            raise UnusableError(reason="missing", message="the cell is null")
        return self.data


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
        ids = batch.column("id").to_pylist()
        beside = {name: batch.column(name) for name in others if name in batch.schema.names}
        for number, (row_id, cell) in enumerate(zip(ids, batch.column(column), strict=True)):
            fields = {name: values[number].as_py() for name, values in beside.items()}
            yield FeedRow(row_id, cell.as_py(), fields)


class Feed(Generic[Item]):
    """Prepares the cells of rows in threads, `ahead` groups before they are asked for.

    Several partitions may be fed at the same time, each from a thread of its own.
    """

    def __init__(
        self,
        prepare: Callable[[FeedRow], Item],
        size: Callable[[], int],
        *,
        ahead: int = 0,
    ) -> None:
        self._prepare = prepare
        self._size = size
        self._ahead = ahead
        self._pool = ThreadPoolExecutor(cpu_count(), "prepare")

    @property
    def partitions_at_once(self) -> int:
        """How many partitions to feed side by side: two give a GPU work while one of them ends."""
        return 2 if self._ahead else 1

    def groups(self, rows: Iterator[FeedRow], rejects: Rejects) -> Iterator[Group[Item]]:
        """Yield the rows in groups of the present batch size, in order, without empty groups."""
        pending: deque[list[tuple[FeedRow, Future[Item]]]] = deque()
        while chunk := list(islice(rows, self._size())):
            pending.append([(row, self._pool.submit(self._prepare, row)) for row in chunk])
            if len(pending) > self._ahead:
                yield from self._settled(pending.popleft(), rejects)
        for futures in pending:
            yield from self._settled(futures, rejects)

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(cancel_futures=True)

    @staticmethod
    def _settled(
        futures: list[tuple[FeedRow, Future[Item]]],
        rejects: Rejects,
    ) -> Iterator[Group[Item]]:
        group: Group[Item] = Group()
        for row, future in futures:
            try:
                item = future.result()
            except (NotAnImageError, UnusableError) as error:
                rejects.add(row.id, error.reason, str(error))
                continue
            group.rows.append(row)
            group.items.append(item)
        if group.rows:
            yield group
