"""Running a component that processes all rows at once and keeps their partitions."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from fondant_spec.dataset import storage
from fondant_spec.dataset.checkpoint import Checkpoint
from fondant_spec.errors import CardinalityError
from fondant_spec.worker.base_components import GatherComponent
from fondant_spec.worker.output_check import check_cardinality, record_batches
from fondant_spec.worker.partition_output import PartitionOutput
from fondant_spec.worker.partition_tasks import PartitionTask
from fondant_spec.worker.run_partition import (
    Advance,
    Settled,
    leave_checkpoint,
    row_context,
    with_origin,
)
from fondant_spec.worker.step_context import StepContext


def gather_partitions(
    step: StepContext,
    component: GatherComponent,
    tasks: Sequence[PartitionTask],
    advance: Advance,
) -> list[Checkpoint]:
    """Run a component over all rows at once, with one checkpoint per input partition.

    The result for a row may depend on any other, so nothing is kept when the step runs again.
    """
    storage.remove(step.folder.checkpoints)  # from an earlier attempt
    context = row_context(step)
    rows = step.inputs[0]
    given = chain.from_iterable(
        rows.batches(task.partition.name, component.batch_rows) for task in tasks
    )
    settled = Settled(advance, None, context.rejects)
    made = component.gather(settled.as_taken(given), context)
    returned = _Rows(record_batches(made, step.step_id))
    ids_in = [rows.ids(task.partition.name) for task in tasks]
    outputs = []
    for task, ids in zip(tasks, ids_in, strict=True):
        output = PartitionOutput(step, task.name)
        with output:
            output.write(returned.among(ids))
        output.partitions = [with_origin(p, task.partition) for p in output.partitions]
        outputs.append(output)
    if (stranger := returned.next_id()) is not None:
        msg = (
            f"{step.step_id}: the component returned row {stranger!r}, which it was not given, or "
            "twice, or out of order; keep the order."
        )
        raise CardinalityError(msg)
    checkpoints = []
    rejects = context.rejects.by_partition(ids_in)
    for task, ids, output, own in zip(tasks, ids_in, outputs, rejects, strict=True):
        check_cardinality(step.spec.cardinality, ids, output.ids(), own, step.step_id)
        made_from = step.made_from(task.partition.digest)
        checkpoints.append(
            leave_checkpoint(step, component, output, own, rows_in=len(ids), made_from=made_from)
        )
    return checkpoints


class _Rows:
    """The rows that a component returns, taken partition by partition."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self._batches = iter(batches)
        self._rest = pa.record_batch({"id": pa.array([], pa.string())})

    def among(self, ids: pa.Array) -> Iterator[pa.RecordBatch]:
        """Yield the next rows, as long as their ids are in `ids`."""
        while self._fill():
            part = self._rest
            strange = pc.invert(pc.is_in(part.column("id"), value_set=ids))
            count = pc.index(strange, True).as_py()
            count = len(part) if count < 0 else count
            if count:
                yield part.slice(0, count)
                self._rest = part.slice(count)
            if count < len(part):
                return

    def next_id(self) -> str | None:
        """Return the id of the next row; None if there is none."""
        return str(self._rest.column("id")[0]) if self._fill() else None

    def _fill(self) -> bool:
        while not len(self._rest):
            following = next(self._batches, None)
            if following is None:
                return False
            self._rest = following
        return True
