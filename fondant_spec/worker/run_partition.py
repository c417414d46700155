"""Processing one partition: transform it, and write a checkpoint."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from fondant_spec.dataset import storage
from fondant_spec.dataset.checkpoint import Checkpoint, Work
from fondant_spec.dataset.layout import partition_file
from fondant_spec.dataset.manifest import Partition, combine
from fondant_spec.dataset.rejects import Rejects
from fondant_spec.worker.base_components import Component, RowContext, StreamTransformComponent
from fondant_spec.worker.output_check import (
    check_cardinality,
    check_parents,
    record_batches,
)
from fondant_spec.worker.partition_output import PartitionOutput
from fondant_spec.worker.partition_tasks import PartitionTask
from fondant_spec.worker.pieces import Pieces
from fondant_spec.worker.step_context import StepContext

logger = logging.getLogger(__name__)


class Advance(Protocol):
    """Counts rows that came out or were rejected."""

    def __call__(self, rows: int, rejects: int = 0, before: int = 0) -> None:
        """Count more rows: see `Progress.advance`."""


def row_context(step: StepContext, input_number: int = 0) -> RowContext:
    """Return the context that accompanies the rows of one of the step's inputs."""
    return RowContext(
        rejects=Rejects(),
        input_fields=step.inputs[input_number].fields if step.inputs else {},
        output_fields=frozenset(step.mapping.outputs),
    )


def transform_partition(
    step: StepContext,
    component: StreamTransformComponent,
    task: PartitionTask,
    advance: Advance,
) -> Checkpoint:
    """Run a transform over one input partition, and write its checkpoint."""
    context = row_context(step, task.input_number)
    if step.spec.makes_ids:
        return _explode(step, component, task, context, advance)
    rows, partition = step.inputs[task.input_number], task.partition
    made_from = step.made_from(partition.digest)
    ids_in = rows.ids(partition.name)
    pieces = Pieces(step, component, task.name, made_from, ids_in)
    if pieces.settled:
        earlier_rows = partial(rows.batches, partition.name, component.batch_rows, pieces.came_out)
        context = replace(context, earlier=earlier_rows)
    output = PartitionOutput(step, task.name, staged=component.gathers)
    settled = Settled(advance, len(ids_in), context.rejects)
    earlier = pieces.taken_over(context.rejects)
    if pieces.settled:
        logger.info("%s: %s goes on: %d rows done", step.step_id, task.name, pieces.settled)
    with output:
        output.write(settled.as_returned(earlier, before=True))
        output.before = settled.before
        batches = rows.batches(partition.name, component.batch_rows, pieces.rest)
        returned = record_batches(component.transform_batches(batches, context), step.step_id)
        output.write(settled.as_returned(pieces.kept(returned, context.rejects)))
        cardinality = step.spec.cardinality
        check_cardinality(cardinality, ids_in, output.ids(), context.rejects, step.step_id)
        fit = pieces.fit
    settled.close()
    if not fit:
        # The pieces were made by another model: all rows of the partition are recomputed by this
        # one.
        pieces.remove()
        settled.undo()
        return transform_partition(step, component, task, advance)
    output.partitions = [with_origin(p, partition) for p in output.partitions]
    checkpoint = leave_checkpoint(
        step, component, output, context.rejects, rows_in=len(ids_in), made_from=made_from
    )
    pieces.remove()
    return checkpoint


def _explode(
    step: StepContext,
    component: StreamTransformComponent,
    task: PartitionTask,
    context: RowContext,
    advance: Advance,
) -> Checkpoint:
    """Run a step that explodes rows, and starts a new partition whenever one is full."""
    rows, partition = step.inputs[task.input_number], task.partition
    output = PartitionOutput(step, task.name, staged=component.gathers, rolls=not component.gathers)
    ids_in = rows.ids(partition.name)
    settled = Settled(advance, len(ids_in), context.rejects)
    with output:
        batches = settled.as_taken(rows.batches(partition.name, component.batch_rows))
        output.write(record_batches(component.transform_batches(batches, context), step.step_id))
        check_parents(ids_in, output.parents(), context.rejects, step.step_id)
    settled.close()
    made_from = step.made_from(partition.digest)
    return leave_checkpoint(
        step, component, output, context.rejects, rows_in=len(ids_in), made_from=made_from
    )


def with_origin(written: Partition, source: Partition) -> Partition:
    """Return a partition whose digest also covers the one that it was made from.

    The fields of earlier steps stay beside those of this one, so both count.
    """
    return replace(written, digest=combine([written.sha256, source.digest]))


def leave_checkpoint(
    step: StepContext,
    component: Component,
    output: PartitionOutput,
    rejects: Rejects,
    *,
    rows_in: int,
    made_from: str | None = None,
) -> Checkpoint:
    """Write the rejects of an output and then its checkpoint, which marks it as done."""
    step.check_lease()
    write_rejects(step, output.name, rejects)
    checkpoint = Checkpoint(
        name=output.name,
        made_from=step.made_from() if made_from is None else made_from,
        run_id=step.run_id,
        work=Work.since(output.began, output.before),
        rows_in=rows_in,
        partitions=tuple(output.partitions),
        fields=output.fields,
        metadata=step.made_by(component),
        rejects=dict(rejects.counts),
        failed=rejects.failed,
    )
    checkpoint.write(step.folder.checkpoints)
    return checkpoint


def write_rejects(step: StepContext, name: str, rejects: Rejects) -> None:
    """Write the rejects of a partition, or remove those of an earlier attempt."""
    path = partition_file(step.folder.rejects, name)
    if not len(rejects):
        storage.remove(path)
        return
    with storage.atomic_writer(path) as file:
        pq.write_table(rejects.to_table(), file, compression="zstd")


@dataclass
class Settled:
    """Reports rows as they are settled; `rows` is how many so far.

    `rows_in` is the total, or None if it is not known in advance, and `before` those of `rows` that
    an earlier attempt settled. Rows that a filter step drops without a reject are known only at the
    end.
    """

    advance: Advance
    rows_in: int | None
    rejects: Rejects
    rows: int = 0
    before: int = 0
    _rejected: int = 0

    def as_returned(
        self, batches: Iterable[pa.RecordBatch], *, before: bool = False
    ) -> Iterator[pa.RecordBatch]:
        """Pass on what a component returns, now or in an earlier attempt.

        A row is settled when it is returned or rejected.
        """
        for batch in batches:
            yield batch
            rows = len(batch) + len(self.rejects) - self._rejected
            self._report(rows, rows if before else 0)

    def as_taken(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Pass on what a component reads; a row is settled when the next batch is requested."""
        for batch in batches:
            yield batch
            self._report(len(batch))

    def close(self) -> None:
        """Report all remaining rows."""
        self._report(0 if self.rows_in is None else self.rows_in - self.rows)

    def undo(self) -> None:
        """Retract everything reported: it is done again."""
        self.advance(-self.rows, -self._rejected, -self.before)

    def _report(self, rows: int, before: int = 0) -> None:
        rejected = len(self.rejects)
        self.advance(rows, rejected - self._rejected, before)
        self.rows += rows
        self.before += before
        self._rejected = rejected
