"""Pieces: intermediate results of a slow partition, so that a kill costs a minute at most.

Every half minute, and whenever memory requires it, the rows that came out since, and the rejects
among them, are saved as a piece. When the partition is started again, it takes over its pieces and
computes only the rest; it is then written from all of its rows, in order, as if it had never been
interrupted. A step that is fast enough to finish a partition within a minute writes no pieces.
"""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Final

import pyarrow as pa

from fondant_spec.dataset import storage
from fondant_spec.dataset.disk_space import check_space
from fondant_spec.dataset.rejects import Rejects
from fondant_spec.worker.base_components import Component
from fondant_spec.worker.step_context import StepContext

SECONDS: Final = 30.0
"""The least time spent on a piece."""

MOST_BYTES: Final = 16 << 20
"""The most memory of rows that are not in a piece yet."""

SOON: Final = 4.0
"""If that many bytes arrive within these seconds, a partition (256 MB at most) takes a minute."""

_ABOUT: Final = b"fondant_piece"


@dataclass(frozen=True)
class Piece:
    """Some rows of a partition: those at `start` to `end` of the input.

    `batches` are those that came out, as the component returned them; `rejects` the others.
    `made_from`, `made_by` and `run_id` are as in a checkpoint.
    """

    start: int
    end: int
    batches: list[pa.RecordBatch]
    rejects: list[dict[str, Any]]
    made_from: str
    made_by: dict[str, Any]
    run_id: str

    def write(self, path: str) -> None:
        """Write the piece atomically."""
        about = {name: value for name, value in vars(self).items() if name != "batches"}
        schema = self.batches[0].schema.with_metadata({_ABOUT: json.dumps(about)})
        with (
            storage.atomic_writer(path) as file,
            pa.ipc.new_stream(pa.PythonFile(file, "w"), schema) as stream,
        ):
            for batch in self.batches:
                stream.write_batch(batch)

    @classmethod
    def read(cls, path: str) -> "Piece":
        """Read a piece."""
        fs, place = storage.filesystem(path)
        with pa.ipc.open_stream(fs.cat_file(place)) as stream:
            about = json.loads(stream.schema.metadata[_ABOUT])
            return cls(batches=list(stream), **about)


class Pieces:
    """The pieces of one partition, of a step that keeps its rows and their order.

    `settled` is how many input rows are in the pieces of an earlier attempt.
    """

    def __init__(
        self, step: StepContext, component: Component, name: str, made_from: str, ids_in: pa.Array
    ) -> None:
        self._step = step
        self._component = component
        self._folder = storage.join(step.folder.pieces, name)
        self._made_from = made_from
        self._ids = ids_in
        self._found = list(self._earlier())
        self._number = len(self._found)
        self.settled = self._found[-1].end if self._found else 0

    @property
    def rest(self) -> pa.Array | None:
        """The ids of the rows left to compute; None for all."""
        return self._ids.slice(self.settled) if self.settled else None

    @property
    def came_out(self) -> pa.Array:
        """The ids of the rows that came out in an earlier attempt."""
        ids = [batch.column("id") for piece in self._found for batch in piece.batches]
        return pa.chunked_array(ids, pa.string()).combine_chunks()

    @property
    def fit(self) -> bool:
        """Whether the pieces have the same origin (model, revision, ...) as the rows made now."""
        now = self._step.made_by(self._component)
        return all(piece.made_by == now for piece in self._found)

    def taken_over(self, rejects: Rejects) -> Iterator[pa.RecordBatch]:
        """Yield the rows that came out in an earlier attempt, and restore its `rejects`."""
        for piece in self._found:
            for row in piece.rejects:
                rejects.restore(row)
            yield from piece.batches

    def kept(
        self, returned: Iterable[pa.RecordBatch], rejects: Rejects
    ) -> Iterator[pa.RecordBatch]:
        """Pass on what a component returns, and save it as pieces from time to time."""
        waiting: list[pa.RecordBatch] = []
        taken, since, goes_without = 0, time.monotonic(), False
        for batch in returned:
            yield batch
            if goes_without:
                continue
            goes_without = bool(waiting) and batch.schema != waiting[0].schema
            waiting.append(batch)
            taken += batch.nbytes
            due = SOON if taken > MOST_BYTES else SECONDS
            if not goes_without and time.monotonic() - since >= due:
                waiting = self._put_aside(waiting, rejects)
                taken, since = sum(one.nbytes for one in waiting), time.monotonic()
            goes_without = goes_without or taken > MOST_BYTES
            waiting = [] if goes_without else waiting

    def remove(self) -> None:
        """Delete the pieces: the partition is finished, or starts over."""
        if self._number:
            storage.remove(self._folder)

    def _put_aside(self, batches: list[pa.RecordBatch], rejects: Rejects) -> list[pa.RecordBatch]:
        """Write a piece of all rows that are settled; return the remaining batches."""
        place = {row_id: number for number, row_id in enumerate(self._ids.to_pylist())}
        known = rejects.ids().union(*(batch.column("id").to_pylist() for batch in batches))
        rows = list(place)[self.settled :]
        end = self.settled + sum(1 for _ in takewhile(known.__contains__, rows))

        def position(batch: pa.RecordBatch, row: int) -> int:
            return place.get(batch.column("id")[row].as_py(), end)

        whole = list(takewhile(lambda one: not len(one) or position(one, -1) < end, batches))
        left = batches[len(whole) :]
        if left:
            end = min(end, position(left[0], 0))
        if not whole or end == self.settled:
            return batches
        ours = set(list(place)[self.settled : end])
        mine = [row for row in rejects.to_table().to_pylist() if row["id"] in ours]
        made = self._step.made_by(self._component)
        piece = Piece(self.settled, end, whole, mine, self._made_from, made, self._step.run_id)
        self._step.check_lease()
        check_space(self._folder)
        piece.write(self._path(self._number))
        self._number += 1
        self.settled = end
        return left

    def _earlier(self) -> Iterator[Piece]:
        """Yield the pieces of an earlier attempt, as long as they are contiguous."""
        end = 0
        for number in range(len(storage.sizes(self._folder))):
            if not storage.exists(self._path(number)):
                return
            piece = Piece.read(self._path(number))
            if piece.start != end or piece.made_from != self._made_from or self._retries(piece):
                return
            end = piece.end
            yield piece

    def _retries(self, piece: Piece) -> bool:
        """Return whether a piece of another run has failed rows that this run is to retry."""
        failed = (row["reason"] for row in piece.rejects if not row["filtered"])
        return piece.run_id != self._step.run_id and any(map(self._step.retries, failed))

    def _path(self, number: int) -> str:
        return storage.join(self._folder, f"{number:05d}.arrow")
