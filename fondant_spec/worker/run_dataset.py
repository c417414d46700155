"""Processing a whole dataset as one stream: loading, gathering or writing it."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from fondant_spec.dataset import storage
from fondant_spec.dataset.checkpoint import GATHERED, WRITTEN, Checkpoint, Work
from fondant_spec.dataset.disk_space import check_space
from fondant_spec.dataset.layout import partition_file
from fondant_spec.dataset.manifest import Partition
from fondant_spec.dataset.partition_writer import write_table
from fondant_spec.dataset.partitions import row_id
from fondant_spec.dataset.rejects import Rejects
from fondant_spec.errors import CardinalityError
from fondant_spec.worker.base_components import (
    LoadComponent,
    StreamTransformComponent,
    WriteComponent,
)
from fondant_spec.worker.input_rows import InputRows
from fondant_spec.worker.output_check import check_rejects, record_batches, written_paths
from fondant_spec.worker.partition_output import PartitionOutput
from fondant_spec.worker.partition_tasks import PartitionTask
from fondant_spec.worker.run_partition import (
    Advance,
    Settled,
    leave_checkpoint,
    row_context,
    with_origin,
    write_rejects,
)
from fondant_spec.worker.step_context import StepContext


def load_partitions(
    step: StepContext,
    component: LoadComponent,
    advance: Advance,
) -> list[Checkpoint]:
    """Run a load, with one checkpoint per `rows_per_partition` rows.

    The end of a partition depends on the rows before it, so a load that runs again keeps none: its
    source is read from the start in any case. Rows that are rejected before a partition's end, and
    just after it, are counted with it.
    """
    storage.remove(step.folder.checkpoints)  # from an earlier attempt
    checkpoints: list[Checkpoint] = []
    context = row_context(step)
    batches = _numbered(record_batches(component.load(context), step.step_id))
    rest: pa.RecordBatch | None = next(batches, None)
    while rest is not None or not checkpoints:
        name = f"part-{len(checkpoints):05d}"
        output = PartitionOutput(step, name)
        with output:
            while rest is not None and not output.full:
                part = rest.slice(0, step.rows_per_partition - output.rows)
                output.write([part])
                advance(len(part), 0)
                rest = rest.slice(len(part)) if len(part) < len(rest) else next(batches, None)
        rejects = context.rejects.drain()
        advance(len(rejects), len(rejects))
        rows_in = output.rows + len(rejects)
        checkpoints.append(leave_checkpoint(step, component, output, rejects, rows_in=rows_in))
    return checkpoints


def gather(
    step: StepContext,
    component: StreamTransformComponent,
    checkpoints: Sequence[Checkpoint],
) -> Checkpoint:
    """Process the staged rows of all partitions again, and write the checkpoint of the result."""
    context = row_context(step)
    partitions = [p for checkpoint in checkpoints for p in checkpoint.partitions]
    staged = [partition_file(step.folder.staged, p.name) for p in partitions if p.rows]
    output = PartitionOutput(step, GATHERED, rolls=True)
    with output:
        if staged:
            fs, _ = storage.filesystem(step.folder.location)
            paths = [storage.filesystem(file)[1] for file in staged]
            rows = pads.dataset(paths, filesystem=fs, format="parquet")
            output.write(record_batches(component.gather(rows, context), step.step_id))
            ids_in = rows.to_table(columns=["id"]).column("id").combine_chunks()
            _filter_lost(ids_in, output.ids().combine_chunks(), context.rejects)
    rows_in = sum(p.rows for p in partitions)
    checkpoint = leave_checkpoint(step, component, output, context.rejects, rows_in=rows_in)
    # The field metadata was recorded with each partition; this component has seen none of them.
    return replace(checkpoint, metadata={})


def write_partitions(
    step: StepContext,
    component: WriteComponent,
    tasks: Sequence[PartitionTask],
    advance: Advance,
) -> Checkpoint:
    """Run a write over all partitions.

    If it reads several branches, the ids that are in all of them are kept as an index.
    """
    began = time.time()
    for place in (step.folder.output, step.folder.checkpoints):
        storage.remove(place)
    context = row_context(step)
    rows = step.inputs[0]
    streams = (rows.batches(task.partition.name, component.batch_rows) for task in tasks)
    settled = Settled(advance, None, context.rejects)
    batches = settled.as_taken(_while_there_is_space(chain.from_iterable(streams), step))
    artifacts = written_paths(component.write(batches, context), step.step_id)
    if next(batches, None) is not None:
        msg = (
            f"{step.step_id}: the component left rows unread; take all of them, and reject the bad."
        )
        raise CardinalityError(msg)
    settled.close()
    _check_strangers(step, rows, tasks, context.rejects)
    step.check_lease()
    write_rejects(step, WRITTEN, context.rejects)
    checkpoint = Checkpoint(
        name=WRITTEN,
        made_from=step.made_from(),
        run_id=step.run_id,
        work=Work.since(began),
        rows_in=settled.rows,
        partitions=tuple(_index(step, rows, tasks)) if rows.branches else (),
        fields={},
        rejects=dict(context.rejects.counts),
        failed=context.rejects.failed,
        artifacts=artifacts,
    )
    checkpoint.write(step.folder.checkpoints)
    return checkpoint


def _while_there_is_space(
    batches: Iterable[pa.RecordBatch], step: StepContext
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        check_space(step.folder.location)
        yield batch


def _check_strangers(
    step: StepContext, rows: InputRows, tasks: Sequence[PartitionTask], rejects: Rejects
) -> None:
    if not len(rejects):
        return
    rejected = pa.array(sorted(rejects.ids()), pa.string())
    ids = (rows.ids(task.partition.name) for task in tasks)
    known = [some.filter(pc.is_in(some, value_set=rejected)) for some in ids]
    check_rejects(pa.chunked_array(known, pa.string()), rejects, step.step_id)


def _index(
    step: StepContext, rows: InputRows, tasks: Sequence[PartitionTask]
) -> Iterator[Partition]:
    """Write the ids of each partition, and nothing else."""
    for task in tasks:
        ids = pa.table({"id": rows.ids(task.partition.name)})
        yield with_origin(write_table(step.folder.data, task.name, ids), task.partition)


def _numbered(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Number the rows that have no id."""
    number = 0
    for batch in batches:
        if "id" in batch.schema.names:
            yield batch
        else:
            ids = pa.array([row_id(number + i) for i in range(len(batch))], pa.string())
            yield pa.RecordBatch.from_arrays(
                [ids, *batch.columns], names=["id", *batch.schema.names]
            )
        number += len(batch)


def _filter_lost(ids_in: pa.Array, ids_out: pa.Array, rejects: Rejects) -> None:
    known = set(ids_out.to_pylist()) | rejects.ids()
    for lost in ids_in.to_pylist():
        if lost not in known:
            rejects.filter(lost)
