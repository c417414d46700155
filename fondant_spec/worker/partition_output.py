"""The output files of one checkpoint: partitions being written, checked as the rows pass."""

import time
from collections.abc import Iterable
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from fondant_spec.dataset.manifest import Partition
from fondant_spec.dataset.partition_writer import PartitionWriter
from fondant_spec.spec.types import type_to_json
from fondant_spec.worker.output_check import OutputValidator
from fondant_spec.worker.step_context import StepContext

PARTITION_BYTES: Final = 256 << 20


class PartitionOutput:
    """Opens a file with the first batch, and the next one when it is full, if rows may explode.

    Consecutive rows of one parent stay in one file, up to 256 MB, however many they are. So a
    component that counts them, such as one that downloads a number of images per seed, needs only a
    single partition.

    `staged` output is still to be gathered. `before` is how many input rows an earlier attempt had
    settled.
    """

    def __init__(
        self,
        step: StepContext,
        name: str,
        *,
        staged: bool = False,
        rolls: bool = False,
    ) -> None:
        self.name = name
        self.began = time.time()
        self.before = 0
        self.rows = 0
        self.bytes = 0
        self.partitions: list[Partition] = []
        self.fields: dict[str, Any] = {}
        self._location = step.folder.staged if staged else step.folder.data
        self._step = step
        self._rolls = rolls
        self._validator = OutputValidator(step.spec, step.mapping, step.step_id)
        self._writer: PartitionWriter | None = None
        self._last_parent: pa.Scalar | None = None
        self._ids: list[pa.Array] = []
        self._parents: list[pa.Array] = []
        self._parent_name = step.mapping.output_names.get(step.spec.previous_index or "")

    def write(self, returned: Iterable[pa.RecordBatch]) -> None:
        """Check and write what the component returns."""
        for batch in self._validator.batches(returned):
            self._ids.append(batch.column("id"))
            if self._parent_name:
                self._parents.append(batch.column(self._parent_name))
            self.rows += len(batch)
            self.bytes += batch.nbytes
            start = 0
            while start < len(batch):
                start += self._write_some(batch.slice(start))

    @property
    def full(self) -> bool:
        """Whether the rows so far make a full partition."""
        return self.rows >= self._step.rows_per_partition or self.bytes >= PARTITION_BYTES

    def ids(self) -> pa.ChunkedArray:
        """Return the ids of all rows written."""
        return pa.chunked_array(self._ids, pa.string())

    def parents(self) -> pa.ChunkedArray | None:
        """Return the parent ids of all rows written; None if the spec names no such column."""
        return pa.chunked_array(self._parents, pa.string()) if self._parent_name else None

    def close(self) -> None:
        """Finish the last file; a checkpoint without rows has an empty one."""
        if self._writer is None and not self.partitions:
            self._writer = self._open(self._empty_schema())
        self._close_writer()

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            if error is None:
                self.close()
        except BaseException as failure:
            error = failure
            raise
        finally:
            if error is not None and self._writer is not None:
                self._writer.abort(error)

    def _write_some(self, batch: pa.RecordBatch) -> int:
        """Write the first rows of a batch, as many as fit into the file; return how many."""
        room = self._room(batch) if self._rolls else len(batch)
        if not room:
            self._close_writer()
            return 0
        if self._writer is None:
            self._writer = self._open(batch.schema)
        part = batch.slice(0, room)
        self._writer.write(part)
        if self._parent_name:
            self._last_parent = part.column(self._parent_name)[-1]
        return len(part)

    def _room(self, batch: pa.RecordBatch) -> int:
        """Return how many of the first rows of a batch may go into the open file."""
        if self._writer is None:
            return self._step.rows_per_partition
        if self._writer.bytes >= PARTITION_BYTES:
            return 0
        left = self._step.rows_per_partition - self._writer.rows
        return left if left > 0 else self._siblings(batch)

    def _siblings(self, batch: pa.RecordBatch) -> int:
        """Return how many of the first rows have the same parent as the row written last."""
        if not self._parent_name:
            return 0
        same = pc.equal(batch.column(self._parent_name), self._last_parent)
        first = pc.index(pc.fill_null(same, fill_value=False), value=False).as_py()
        return len(batch) if first < 0 else int(first)

    def _open(self, schema: pa.Schema) -> PartitionWriter:
        name = f"{self.name}-{len(self.partitions):05d}" if self._rolls else self.name
        self.fields = {f.name: type_to_json(f.type) for f in schema if f.name != "id"}
        return PartitionWriter(self._location, name, schema)

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._step.check_lease()
            self.partitions.append(self._writer.close())
        self._writer = None

    def _empty_schema(self) -> pa.Schema:
        names = self._step.mapping.output_names
        fields = [(names[name], type_) for name, type_ in self._step.mapping.outputs.items()]
        return pa.schema([("id", pa.string()), *fields])
