"""The feed: rows in, model batches out, with cells prepared ahead of the device.

On a GPU, processes prepare the next batches while the device is busy. A CPU has no cores to spare
for that: decoding threads would make the model's threads wait for each other. There (`ahead=0`),
all cores prepare a batch in threads, and then all cores run the model on it.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, Generic

from fondant_spec.cpu import cpu_count
from fondant_spec.dataset.rejects import Rejects
from image_toolkit.models.runtime.feed_groups import Group, GroupAtWork, Item
from image_toolkit.models.runtime.feed_rows import FeedRow
from image_toolkit.models.runtime.preparation import PixelPreparation
from image_toolkit.models.runtime.preparing_processes import PreparingProcesses
from image_toolkit.models.runtime.slots import Slot, slots_for


def prepared(prepare: Callable[[Any], Any], row: FeedRow, slot: Slot | None) -> Any:
    """Return a row's prepared cell, or its slot, if there is one.

    The slot is either filled, or waits for a process that shares its memory.

    Raises:
        NotAnImageError: from `prepare`.
        UnusableError: from `prepare`, or because the cell is null.
    """
    if slot is None:
        return prepare(row.cell())
    if slot.batch.file is None:
        slot.fill(prepare(row.cell()))
    else:
        slot.awaits = row.file()
    return slot


class Feed(Generic[Item]):
    """Prepares the cells of rows, `ahead` groups before they are needed.

    Threads take the next row of a group until none is left; or, with `processes`, the next few
    rows, whose pixels a process prepares. Several partitions may be fed at the same time, each from
    its own thread.
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
        """Call `prepare` with a row, and a slot for the result of each function in `into`.

        There is no slot for results that are not pixels. `pinned`: batches are for a GPU. The feed
        owns the processes, and ends them if it does not need them.
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
        """The number of partitions to feed concurrently.

        Three on a GPU: it has work from others while one begins and one ends.
        """
        return 3 if self._ahead else 1

    def groups(self, rows: Iterator[FeedRow], rejects: Rejects) -> Iterator[Group[Item]]:
        """Yield the rows in groups of the current batch size, in order, without empty groups."""
        pending: deque[GroupAtWork[Item]] = deque()
        while chunk := list(islice(rows, self._size())):
            group = GroupAtWork(chunk, [make(len(chunk)) for make in self._slots], self._prepare)
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
