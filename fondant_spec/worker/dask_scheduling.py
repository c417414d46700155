"""Spreading a step's partitions over worker processes.

One worker runs in this process. Several are a Dask cluster on this machine, or yours where
`DASK_SCHEDULER_ADDRESS` says so. A worker that is killed loses the partition at hand, which another
one takes over.
"""

import atexit
import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from copy import copy
from functools import cache
from itertools import islice
from threading import Lock
from typing import Any, Final

from fondant_spec.dataset.checkpoint import Record
from fondant_spec.errors import StepFailedError
from fondant_spec.progress import Progress
from fondant_spec.worker.partition_tasks import Turn
from fondant_spec.worker.retry_rejects import retry_partition
from fondant_spec.worker.run_partition import Advance, Transform, transform_partition
from fondant_spec.worker.step_context import Work

SCHEDULER: Final = "DASK_SCHEDULER_ADDRESS"
_AHEAD: Final = 2
"""Partitions submitted per worker: one at hand and one waiting."""


def run_partitions(
    work: Work,
    partitions: list[Turn],
    workers: int,
    progress: Progress,
) -> list[Record]:
    """Run a transform over partitions, and return their records in any order."""
    if not partitions:
        return []
    if min(workers, len(partitions)) > 1 or SCHEDULER in os.environ:
        return _run_on_dask(work, partitions, min(workers, len(partitions)), progress)
    return _run_here(work, partitions, progress)


def _run_here(work: Work, partitions: list[Turn], progress: Progress) -> list[Record]:
    """Run a transform over partitions in this process, as many at once as the component takes."""
    with ExitStack() as afterwards, work.component() as component:
        transform = _as_transform(component, work)
        if component.partitions_at_once == 1:
            return [_run_turn(work, transform, turn, progress.advance) for turn in partitions]
        threads = ThreadPoolExecutor(component.partitions_at_once)
        # After an error the component is torn down first, which ends what its threads wait for.
        afterwards.callback(threads.shutdown)
        return _run_on_threads(threads, work, transform, partitions, progress)


def _run_on_threads(
    threads: ThreadPoolExecutor,
    work: Work,
    transform: Transform,
    partitions: list[Turn],
    progress: Progress,
) -> list[Record]:
    lock = Lock()

    def advance(rows: int, rejects: int) -> None:
        with lock:
            progress.advance(rows, rejects)

    futures = [
        threads.submit(_run_turn, work, copy(transform), turn, advance) for turn in partitions
    ]
    try:
        return [future.result() for future in futures]
    finally:
        for future in futures:
            future.cancel()


def _run_on_dask(
    work: Work,
    partitions: list[Turn],
    workers: int,
    progress: Progress,
) -> list[Record]:
    """Run a transform over partitions on a Dask cluster, a few ahead of each worker.

    Raises:
        StepFailedError: a partition killed one worker after the other.
    """
    # Costs a second, and only some steps pay.
    from distributed import KilledWorker, as_completed  # noqa: PLC0415

    records = []
    with _client(workers) as client:
        waiting = iter(partitions)

        def submit(turn: Turn) -> Any:
            key = f"{work.folder}/{turn.name}"
            return client.submit(_run_one, work, turn, key=key, retries=1)

        futures = as_completed([submit(turn) for turn in islice(waiting, workers * _AHEAD)])
        for future in futures:
            try:
                record = future.result()
            except KilledWorker as error:
                msg = (
                    f"{work.where}: {error.task} ended its worker process again and again, most "
                    "likely for want of memory; use fewer workers, or give the step more memory."
                )
                raise StepFailedError(msg) from None
            records.append(record)
            progress.advance(record.rows_in, sum(record.rejects.values()))
            for turn in islice(waiting, 1):
                futures.add(submit(turn))
    return records


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
        self._folder = ""
        self._component: Transform | None = None
        self._stack = ExitStack()
        atexit.register(self._stack.close)

    def run(self, work: Work, turn: Turn) -> Record:
        """Run one partition at a time, since a component knows of one set of rejects only."""
        with self._lock:
            if self._component is None or self._folder != work.folder:
                self._component = None
                self._stack.close()
                component = self._stack.enter_context(work.component())
                self._component, self._folder = _as_transform(component, work), work.folder
            return _run_turn(work, self._component, turn, _nothing)


@cache
def _worker() -> _Worker:
    return _Worker()


def _run_one(work: Work, turn: Turn) -> Record:
    return _worker().run(work, turn)


def _run_turn(work: Work, component: Transform, turn: Turn, advance: Advance) -> Record:
    if turn.earlier is not None:
        return retry_partition(work, component, turn, turn.earlier, advance)
    return transform_partition(work, component, turn, advance)


def _as_transform(component: object, work: Work) -> Transform:
    if not isinstance(component, Transform):
        msg = f"{work.where}: {work.class_name} consumes fields, so it must transform or write."
        raise TypeError(msg)
    return component


def _nothing(rows: int, rejects: int) -> None:
    """Progress is told by whoever collects the records."""
