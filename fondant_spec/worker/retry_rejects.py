"""Retrying failed rows without recomputing the others."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fondant_spec.dataset import storage
from fondant_spec.dataset.checkpoint import Checkpoint, Work
from fondant_spec.dataset.layout import partition_file
from fondant_spec.dataset.manifest import Field, Partition
from fondant_spec.dataset.partition_writer import PartitionWriter
from fondant_spec.dataset.partitions import read_batches
from fondant_spec.dataset.rejects import Rejects
from fondant_spec.spec.types import type_from_json
from fondant_spec.worker.base_components import StreamTransformComponent
from fondant_spec.worker.output_check import check_cardinality
from fondant_spec.worker.partition_output import PartitionOutput
from fondant_spec.worker.partition_tasks import PartitionTask
from fondant_spec.worker.run_partition import (
    Advance,
    Settled,
    row_context,
    transform_partition,
    with_origin,
    write_rejects,
)
from fondant_spec.worker.step_context import StepContext


@dataclass(frozen=True)
class _FailedRows:
    """The rows of a partition that are retried, and the others.

    Attributes:
        ids_in: of all input rows.
        again: the ids of the rows to retry, in input order.
        came_out: the ids of the rows that came out before.
        attempts: the number of earlier attempts of each row to retry, by id.
        before: the rejects of all rows that did not come out.
    """

    ids_in: pa.Array
    again: pa.Array
    came_out: pa.Array
    attempts: dict[str, int]
    before: list[dict[str, Any]]

    @property
    def kept(self) -> int:
        """How many rows stay as they are."""
        return len(self.ids_in) - len(self.again)


def retry_partition(
    step: StepContext,
    component: StreamTransformComponent,
    task: PartitionTask,
    earlier: Checkpoint,
    advance: Advance,
) -> Checkpoint:
    """Rerun a step that maps or filters on the failed rows of a partition, and merge the results.

    `step.retry` says which rows these are. The partition and its rejects are rewritten, with the
    rows in input order.
    """
    failed, rows = _failed_rows(step, task), step.inputs[task.input_number]
    read = partial(rows.batches, task.partition.name, component.batch_rows)
    context = row_context(step, task.input_number)
    context = replace(context, earlier=partial(read, failed.came_out))
    staying = len(failed.before) - len(failed.again)
    advance(failed.kept, staying, before=failed.kept)
    settled = Settled(advance, len(failed.again), context.rejects)
    output = PartitionOutput(step, task.name, staged=True)
    with output:
        returned = component.transform_batches(read(failed.again), context)
        output.write(settled.as_returned(returned))
        cardinality = step.spec.cardinality
        check_cardinality(cardinality, failed.again, output.ids(), context.rejects, step.step_id)
    settled.close()
    if step.made_by(component) != earlier.metadata:
        # The existing rows were made by another model: all are recomputed by this one.
        settled.undo()
        advance(-failed.kept, -staying, before=-failed.kept)
        return transform_partition(step, component, replace(task, earlier=None), advance)
    return _write_merged(step, task, earlier, failed, output, context.rejects)


def _failed_rows(step: StepContext, task: PartitionTask) -> _FailedRows:
    ids_in = step.inputs[task.input_number].ids(task.partition.name)
    table = pq.read_table(storage.open_input(partition_file(step.folder.rejects, task.name)))
    before = table.to_pylist()
    attempts = {
        row["id"]: row["attempts"]
        for row in before
        if not row["filtered"] and step.retries(row["reason"])
    }
    again = pc.is_in(ids_in, value_set=pa.array(list(attempts), pa.string()))
    lost = pc.is_in(ids_in, value_set=pa.array([row["id"] for row in before], pa.string()))
    came_out = ids_in.filter(pc.invert(lost))
    return _FailedRows(ids_in, ids_in.filter(again), came_out, attempts, before)


def _write_merged(
    step: StepContext,
    task: PartitionTask,
    earlier: Checkpoint,
    failed: _FailedRows,
    output: PartitionOutput,
    rejects: Rejects,
) -> Checkpoint:
    """Write a partition and its rejects, merged with the results of the retried rows."""
    merged = _merged_rejects(failed.before, failed.attempts, rejects)
    fields = output.fields if output.rows else earlier.fields
    written = _write_both(step, task.name, fields, failed.ids_in)
    write_rejects(step, task.name, merged)
    checkpoint = replace(
        earlier,
        run_id=step.run_id,
        work=Work.since(output.began, failed.kept),
        partitions=(with_origin(written, task.partition),),
        fields=fields,
        rejects=dict(merged.counts),
        failed=merged.failed,
    )
    checkpoint.write(step.folder.checkpoints)
    storage.remove(partition_file(step.folder.staged, task.name))
    return checkpoint


def _merged_rejects(
    before: list[dict[str, Any]],
    attempts: dict[str, int],
    rejects: Rejects,
) -> Rejects:
    """Return the rejects that were not retried, and those of the rows that failed again."""
    merged = Rejects()
    kept = [row for row in before if row["id"] not in attempts]
    new = rejects.to_table().to_pylist()
    for row in [*kept, *new]:
        if row["filtered"]:
            merged.filter(row["id"], row["reason"], row["message"])
        else:
            total = row["attempts"] + attempts.get(row["id"], 0)
            merged.add(row["id"], row["reason"], row["message"], total)
    return merged


def _write_both(step: StepContext, name: str, fields: Any, ids: pa.Array) -> Partition:
    """Write the old and new rows as one partition, in the order of `ids`."""
    schema = pa.schema(
        [("id", pa.string()), *((key, type_from_json(value)) for key, value in fields.items())]
    )
    place = {row_id: number for number, row_id in enumerate(ids.to_pylist())}
    writer = PartitionWriter(step.folder.data, name, schema)
    try:
        places = (step.folder.data, step.folder.staged)
        streams = (_rows(location, name, schema, place) for location in places)
        for _, row in heapq.merge(*streams, key=lambda numbered: numbered[0]):
            writer.write(row)
        step.check_lease()
        return writer.close()
    except BaseException as error:
        writer.abort(error)
        raise


def _rows(
    location: str,
    name: str,
    schema: pa.Schema,
    place: dict[str, int],
) -> Iterator[tuple[int, pa.RecordBatch]]:
    inputs = {f.name: Field(f.name, f.type, location) for f in schema if f.name != "id"}
    for batch in read_batches(inputs, location, name):
        for number, row_id in enumerate(batch.column("id").to_pylist()):
            yield place[row_id], batch.slice(number, 1)
