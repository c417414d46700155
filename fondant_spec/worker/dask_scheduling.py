"""Spreading a step's partitions over worker processes.

One worker runs in this process. Several are a Dask cluster on this machine, or yours where
`DASK_SCHEDULER_ADDRESS` says so. A worker that is killed loses the partition at hand, which another
one takes over.
"""

import atexit
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import islice
from threading import Lock
from typing import Any, Final

from fondant_spec.dataset.checkpoint import Checkpoint
from fondant_spec.errors import StepFailedError
from fondant_spec.progress import Progress
from fondant_spec.worker.base_components import StreamTransformComponent
from fondant_spec.worker.partition_tasks import PartitionTask
from fondant_spec.worker.retry_rejects import retry_partition
from fondant_spec.worker.run_partition import Advance, transform_partition
from fondant_spec.worker.step_context import StepContext

SCHEDULER: Final = "DASK_SCHEDULER_ADDRESS"
_AHEAD: Final = 2
"""Partitions submitted per worker: one at hand and one waiting."""


def run_partitions(
    step: StepContext,
    tasks: Sequence[PartitionTask],
    workers: int,
    progress: Progress,
) -> list[Checkpoint]:
    """Run a transform over partitions, and return their checkpoints in any order.

    `workers` is how many processes this machine may use; a cluster elsewhere has its own number.
    """
    if not tasks:
        return []
    if min(workers, len(tasks)) > 1 or SCHEDULER in os.environ:
        return _run_on_dask(step, tasks, min(workers, len(tasks)), progress)
    return _run_here(step, tasks, progress)


def _run_here(
    step: StepContext, tasks: Sequence[PartitionTask], progress: Progress
) -> list[Checkpoint]:
    """Run a transform over partitions in this process, as many at once as the component takes."""
    with ExitStack() as afterwards, step.component() as component:
        if component.partitions_at_once == 1:
            return [_run_task(step, component, task, progress.advance) for task in tasks]
        threads = ThreadPoolExecutor(component.partitions_at_once)
        # After an error the component is torn down first, which ends what its threads wait for.
        afterwards.callback(threads.shutdown)
        futures = [
            threads.submit(_run_task, step, component, task, progress.advance) for task in tasks
        ]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()


def _run_on_dask(
    step: StepContext,
    tasks: Sequence[PartitionTask],
    workers: int,
    progress: Progress,
) -> list[Checkpoint]:
    """Run a transform over partitions on a Dask cluster, a few ahead of each worker.

    Raises:
        StepFailedError: a partition killed one worker after the other.
    """
    # Costs a second, and only some steps pay.
    from distributed import KilledWorker, as_completed  # noqa: PLC0415

    checkpoints = []
    with _client(workers) as client:
        waiting = iter(tasks)

        def submit(task: PartitionTask) -> Any:
            key = f"{step.folder.location}/{task.name}"
            return client.submit(_run_one, step, task, key=key, retries=1)

        at_once = max(workers, len(client.nthreads()))
        futures = as_completed([submit(task) for task in islice(waiting, at_once * _AHEAD)])
        for future in futures:
            try:
                checkpoint = future.result()
            except KilledWorker as error:
                msg = (
                    f"{step.step_id}: {error.task} ended its worker process again and again, most "
                    "likely for want of memory; use fewer workers, or give the step more memory."
                )
                raise StepFailedError(msg) from None
            checkpoints.append(checkpoint)
            progress.advance(checkpoint.rows_in, sum(checkpoint.rejects.values()))
            for task in islice(waiting, 1):
                futures.add(submit(task))
    return checkpoints


@contextmanager
def _client(workers: int) -> Iterator[Any]:
    from distributed import Client, LocalCluster  # noqa: PLC0415

    logging.getLogger("distributed").setLevel(logging.WARNING)
    with ExitStack() as stack:
        address = os.environ.get(SCHEDULER)
        if not address:
            address = stack.enter_context(
                LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    dashboard_address=None,
                    host="127.0.0.1",
                ),
            )
        yield stack.enter_context(Client(address))


class _Worker:
    """The component of a worker process: set up once, and until another step comes."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._step: StepContext | None = None
        self._component: Any = None
        self._stack = ExitStack()
        atexit.register(self._stack.close)

    def run(self, step: StepContext, task: PartitionTask) -> Checkpoint:
        """Run one partition at a time, so that the component is there as long as it lasts."""
        with self._lock:
            if self._step != step:
                self._step = None
                self._stack.close()
                self._component = self._stack.enter_context(step.component())
                self._step = step
            return _run_task(step, self._component, task, _reported_by_the_collector)


@cache
def _worker() -> _Worker:
    return _Worker()


def _run_one(step: StepContext, task: PartitionTask) -> Checkpoint:
    return _worker().run(step, task)


def _run_task(
    step: StepContext, component: StreamTransformComponent, task: PartitionTask, advance: Advance
) -> Checkpoint:
    if task.earlier is not None:
        return retry_partition(step, component, task, task.earlier, advance)
    return transform_partition(step, component, task, advance)


def _reported_by_the_collector(rows: int, rejects: int) -> None:
    """Leave the progress to the process that collects the checkpoints."""
