"""Spreading a step's partitions over worker processes of this machine.

They are reached through pipes alone: no port is open that somebody else on the machine could use.
A worker that is killed loses the partition at hand, which is done again.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from typing import Final

from fondant_spec.dataset.checkpoint import Checkpoint
from fondant_spec.errors import StepFailedError
from fondant_spec.lifeline import end_with_parent
from fondant_spec.worker.partition_tasks import PartitionTask
from fondant_spec.worker.step_context import StepContext
from fondant_spec.worker.worker_process import run_task

AHEAD: Final = 2
"""Partitions submitted per worker: one at hand and one waiting."""

_MOST_KILLS: Final = 3

Finished = Callable[[Checkpoint], None]
"""Called with the checkpoint of each partition that is finished."""


def run_on_processes(
    step: StepContext, tasks: Sequence[PartitionTask], workers: int, finished: Finished
) -> None:
    """Run a transform over partitions in so many processes.

    Raises:
        StepFailedError: some partitions killed one worker after the other; all others are finished.
    """
    left, deadly = list(tasks), []
    while left:
        suspects, left = _run(step, left, workers, finished)
        deadly += [task.name for task in suspects if not _survives(step, task, finished)]
    if deadly:
        msg = (
            f"{step.step_id}: {', '.join(deadly)}: the worker process was killed {_MOST_KILLS} "
            "times over this partition, most likely for want of memory; give the step more memory, "
            "or smaller partitions (rows_per_partition). The other partitions are kept."
        )
        raise StepFailedError(msg)


def _run(
    step: StepContext, tasks: Sequence[PartitionTask], workers: int, finished: Finished
) -> tuple[list[PartitionTask], list[PartitionTask]]:
    """Run partitions until all are finished, or a worker was killed.

    Returns those that were submitted then, of which nobody knows which one it was, and the others.
    """
    waiting = deque(tasks)
    running: dict[Future[Checkpoint], PartitionTask] = {}
    with _pool(workers) as pool:
        try:
            while waiting or running:
                while waiting and len(running) < workers * AHEAD:
                    running[pool.submit(run_task, step, waiting[0])] = waiting[0]
                    waiting.popleft()
                ended, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in ended:
                    checkpoint = future.result()
                    del running[future]
                    finished(checkpoint)
        except BrokenProcessPool:
            return _unfinished(running, finished), list(waiting)
    return [], []


def _unfinished(
    running: Mapping[Future[Checkpoint], PartitionTask], finished: Finished
) -> list[PartitionTask]:
    """Return the partitions that a broken pool left; some may be finished all the same."""
    left = []
    for future, task in running.items():
        if future.done() and future.exception() is None:
            finished(future.result())
        else:
            left.append(task)
    return left


def _survives(step: StepContext, task: PartitionTask, finished: Finished) -> bool:
    """Run a partition in a process of its own, a few times if that is killed."""
    return any(not _run(step, [task], 1, finished)[0] for _ in range(_MOST_KILLS))


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool whose processes end with it, whatever they are at."""
    before = set(active_children())
    pool = ProcessPoolExecutor(workers, get_context("spawn"), end_with_parent)
    try:
        yield pool
        pool.shutdown()  # components are torn down
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(active_children()) - before:
            process.terminate()
            process.join()
