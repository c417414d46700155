"""What to do for each partition of a step: nothing, all of it, or its failed rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fondant_spec.dataset import storage
from fondant_spec.dataset.checkpoint import Checkpoint, read_checkpoints
from fondant_spec.dataset.manifest import Manifest, Partition, combine
from fondant_spec.errors import InvalidManifestError
from fondant_spec.worker.step_context import StepContext


@dataclass(frozen=True)
class PartitionTask:
    """One partition of the step's input, under the name of its checkpoint.

    `input_number` is the index of the input that it belongs to. `earlier` is the partition's
    checkpoint if only its failed rows are to be retried.
    """

    name: str
    input_number: int
    partition: Partition
    earlier: Checkpoint | None = None


def partition_tasks(groups: Sequence[Sequence[Manifest]]) -> list[PartitionTask]:
    """Return the tasks of a step that reads groups of branches, one group after the other.

    If branches are joined, the digest of a partition covers all of them.

    Raises:
        InvalidManifestError: branches of one group have different partitions.
    """
    tasks = []
    for number, group in enumerate(groups):
        _check_aligned(group)
        for parts in zip(*(manifest.partitions for manifest in group), strict=True):
            digests = [part.digest for part in parts]
            joined = digests[0] if len(digests) == 1 else combine(digests)
            name = f"{number}-{parts[0].name}" if len(groups) > 1 else parts[0].name
            tasks.append(PartitionTask(name, number, replace(parts[0], digest=joined)))
    return tasks


def split_finished(
    step: StepContext, tasks: Sequence[PartitionTask], *, gathers: bool
) -> tuple[list[Checkpoint], list[PartitionTask]]:
    """Return the checkpoints that are still valid, and the remaining tasks.

    The partitions of a step that `gathers` stay staged until then.
    """
    finished = _checkpoints(step, gathers=gathers)
    kept: list[Checkpoint] = []
    left: list[PartitionTask] = []
    for task in tasks:
        checkpoint = finished.get(task.name)
        if checkpoint is None:
            left.append(task)
        elif checkpoint.made_from != step.made_from(task.partition.digest):
            checkpoint.remove(step.folder.checkpoints)  # it must no longer count as done
            left.append(task)
        elif _is_retried(step, checkpoint):
            # New ids depend on all rows of their partition, so it is recomputed as a whole.
            explodes = step.spec.cardinality == "explodes"
            left.append(task if explodes else replace(task, earlier=checkpoint))
        else:
            kept.append(checkpoint)
    return kept, left


def _check_aligned(group: Sequence[Manifest]) -> None:
    first, *others = group
    for other in others:
        if [p.name for p in other.partitions] != [p.name for p in first.partitions]:
            msg = (
                f"{first.location} and {other.location} share their rows, but not their "
                "partitions; run the steps that made them again."
            )
            raise InvalidManifestError(msg)


def _checkpoints(step: StepContext, *, gathers: bool) -> dict[str, Checkpoint]:
    sizes = storage.sizes(step.folder.staged if gathers else step.folder.data)
    return read_checkpoints(step.folder.checkpoints, sizes)


def _is_retried(step: StepContext, checkpoint: Checkpoint) -> bool:
    """Return whether failed rows are to be retried; not those that this run has tried."""
    if not checkpoint.failed or checkpoint.run_id == step.run_id:
        return False
    return any(map(step.retries, checkpoint.rejects))
