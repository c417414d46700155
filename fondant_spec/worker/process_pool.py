"""Distributing a step's partitions over worker processes of this machine.

They communicate through pipes only: there is no open port for others on the machine to use. Each
process is a pool of its own, so that one that is killed affects no other: only its current
partition is lost, and computed again.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from typing import Final

from fondant_spec.cpu import shared_cores
from fondant_spec.dataset.checkpoint import Checkpoint
from fondant_spec.errors import StepFailedError
from fondant_spec.lifeline import end_with_parent
from fondant_spec.worker.partition_tasks import PartitionTask
from fondant_spec.worker.step_context import StepContext
from fondant_spec.worker.worker_process import run_task

_MOST_KILLS: Final = 3

Finished = Callable[[Checkpoint], None]
"""Called with the checkpoint of each partition that is finished."""


def run_on_processes(
    step: StepContext, tasks: Sequence[PartitionTask], workers: int, finished: Finished
) -> None:
    """Run a transform over partitions in a number of processes.

    A partition whose worker was killed is tried again after all others, on its own, so that it has
    all the memory.

    Raises:
        StepFailedError: some partitions killed several workers in turn; all others are finished.
    """
    suspects = _run(step, tasks, workers, finished)
    deadly = [task.name for task in suspects if not _survives(step, task, finished)]
    if deadly:
        msg = (
            f"{step.step_id}: {', '.join(deadly)}: the worker process was killed {_MOST_KILLS} "
            "times over this partition, most likely for want of memory; give the step more memory, "
            "or smaller partitions (rows_per_partition). The other partitions are kept."
        )
        raise StepFailedError(msg)


def _run(
    step: StepContext, tasks: Sequence[PartitionTask], workers: int, finished: Finished
) -> list[PartitionTask]:
    """Run partitions, one at a time per process; return those whose process was killed."""
    waiting, killed = deque(tasks), list[PartitionTask]()
    running: dict[Future[Checkpoint], tuple[PartitionTask, ProcessPoolExecutor]] = {}
    with shared_cores(workers), _processes() as start:

        def go_on(process: ProcessPoolExecutor) -> None:
            if waiting:
                task = waiting.popleft()
                running[process.submit(run_task, step, task)] = task, process

        for _ in range(min(workers, len(tasks))):
            go_on(start())
        while running:
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                task, process = running.pop(future)
                try:
                    checkpoint = future.result()
                except BrokenProcessPool:
                    killed.append(task)
                    process = start()
                else:
                    finished(checkpoint)
                go_on(process)
    return killed


def _survives(step: StepContext, task: PartitionTask, finished: Finished) -> bool:
    """Run a partition in a process of its own, a few times if that is killed."""
    return any(not _run(step, [task], 1, finished) for _ in range(_MOST_KILLS))


@contextmanager
def _processes() -> Iterator[Callable[[], ProcessPoolExecutor]]:
    """Yield a function that starts a process; all end with the `with` statement, busy or not."""
    before = set(active_children())
    pools: list[ProcessPoolExecutor] = []

    def start() -> ProcessPoolExecutor:
        pools.append(ProcessPoolExecutor(1, get_context("spawn"), end_with_parent))
        return pools[-1]

    try:
        yield start
        for pool in pools:
            pool.shutdown()  # runs the components' teardown
    finally:
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)
        for process in set(active_children()) - before:
            process.terminate()
            process.join()
