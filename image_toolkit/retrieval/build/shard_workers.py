"""Who makes shards: the workers of the user's Dask cluster, or processes on this machine.

`DASK_SCHEDULER_ADDRESS` names the cluster, as for steps. Its workers must see the build folder
under the same path.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Final
from uuid import uuid4

from fondant_spec.cpu import environment
from fondant_spec.errors import StepFailedError
from fondant_spec.lifeline import end_with_parent
from fondant_spec.progress import Progress
from image_toolkit.retrieval.build.shards import Shard

logger = logging.getLogger(__name__)

SCHEDULER: Final = "DASK_SCHEDULER_ADDRESS"

_ONE_THREAD: Final = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)
"""As in Dask's workers."""

_PATIENCE: Final = "60 s"


def make_shards(shards: Sequence[Shard], processes: int) -> None:
    """Make the shards that do not exist yet, on a cluster or in so many local processes.

    Raises:
        StepFailedError: the cluster failed; finished shards are kept.
    """
    missing = [shard for shard in shards if not shard.folder.is_dir()]
    if kept := len(shards) - len(missing):
        logger.info("going on after %d of %d shards that are kept", kept, len(shards))
    with Progress("index build: shards", sum(shard.rows for shard in shards)) as progress:
        done = sum(shard.rows for shard in shards) - sum(shard.rows for shard in missing)
        progress.advance(done, before=done)
        for shard in _made(missing, processes):
            progress.advance(shard.rows)


def _made(shards: Sequence[Shard], processes: int) -> Iterator[Shard]:
    """Yield shards as they are finished."""
    if address := os.environ.get(SCHEDULER):
        yield from _made_on_cluster(shards, address)
    else:
        yield from _made_here(shards, processes)


def _made_here(shards: Sequence[Shard], processes: int) -> Iterator[Shard]:
    """Yield shards as they are finished, with one process fewer each time one is killed."""
    left = list(shards)
    while (at_once := min(processes, len(left))) > 1:
        try:
            for shard in _made_in_processes(left, at_once):
                left.remove(shard)
                yield shard
        except BrokenProcessPool:
            processes = at_once - 1
            logger.warning(
                "a process that makes shards was killed, most likely for want of memory; %d go on",
                processes,
            )
    for shard in left:
        shard.make()
        yield shard


def _made_in_processes(shards: Sequence[Shard], processes: int) -> Iterator[Shard]:
    with ProcessPoolExecutor(processes, get_context("spawn"), end_with_parent) as pool:
        with environment(_ONE_THREAD):
            running = {pool.submit(shard.make): shard for shard in shards}
        try:
            for future in as_completed(running):
                future.result()
                yield running[future]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _made_on_cluster(shards: Sequence[Shard], address: str) -> Iterator[Shard]:
    from distributed import Client, KilledWorker  # noqa: PLC0415 - costs a second
    from distributed import as_completed as completed  # noqa: PLC0415

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    run = uuid4().hex  # a long-lived cluster remembers the shards of earlier builds
    try:
        with Client(address, timeout=_PATIENCE) as client:
            logger.info("making %d shards on the cluster at %s", len(shards), address)
            running = {
                client.submit(Shard.make, shard, key=f"{shard.folder}-{run}", retries=1): shard
                for shard in shards
            }
            for future in completed(running):
                future.result()
                yield _seen(running[future])
    except (KilledWorker, CancelledError, OSError, ValueError) as error:
        msg = (
            f"the cluster at {address} ({SCHEDULER}) failed: {error}. What is finished is kept: "
            "the same command goes on."
        )
        raise StepFailedError(msg) from error


def _seen(shard: Shard) -> Shard:
    if shard.folder.is_dir():
        return shard
    msg = (
        f"{shard.folder}: was written by a worker of the cluster where this machine does not see "
        "it. Build in a folder that all machines share."
    )
    raise StepFailedError(msg)
