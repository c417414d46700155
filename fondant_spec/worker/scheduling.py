"""Where the partitions of a step run: in this process, in several here, or on a Dask cluster."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from fondant_spec.dataset.checkpoint import Checkpoint
from fondant_spec.progress import Progress
from fondant_spec.worker.dask_scheduling import SCHEDULER, run_on_cluster
from fondant_spec.worker.partition_tasks import PartitionTask
from fondant_spec.worker.process_pool import run_on_processes
from fondant_spec.worker.step_context import StepContext
from fondant_spec.worker.worker_process import run_with


def run_partitions(
    step: StepContext,
    tasks: Sequence[PartitionTask],
    workers: int,
    progress: Progress,
) -> list[Checkpoint]:
    """Run a transform over partitions, and return their checkpoints in any order.

    `workers` is how many processes this machine may use; a cluster has its own number.
    """
    checkpoints: list[Checkpoint] = []

    def finished(checkpoint: Checkpoint) -> None:
        checkpoints.append(checkpoint)
        lost, before = sum(checkpoint.rejects.values()), checkpoint.work.before
        progress.advance(checkpoint.rows_in, lost, before)

    address, workers = os.environ.get(SCHEDULER, ""), min(workers, len(tasks))
    if not tasks:
        return []
    if address:
        run_on_cluster(step, tasks, address, finished)
    elif workers > 1:
        run_on_processes(step, tasks, workers, finished)
    else:
        return _run_here(step, tasks, progress)
    return checkpoints


def _run_here(
    step: StepContext, tasks: Sequence[PartitionTask], progress: Progress
) -> list[Checkpoint]:
    """Run a transform over partitions in this process, as many at once as the component sets."""
    with ExitStack() as afterwards, step.component() as component:
        if component.partitions_at_once == 1:
            return [run_with(step, component, task, progress.advance) for task in tasks]
        threads = ThreadPoolExecutor(component.partitions_at_once)
        # After an error, the component is torn down first, which ends what its threads wait for.
        afterwards.callback(threads.shutdown)
        futures = [
            threads.submit(run_with, step, component, task, progress.advance) for task in tasks
        ]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()
