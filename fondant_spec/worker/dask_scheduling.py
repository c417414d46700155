"""Spreading a step's partitions over a Dask cluster of the user's own.

`DASK_SCHEDULER_ADDRESS` says where it is; Dask's own configuration, how it is secured. How many
workers it has is its own matter. A worker that is killed loses the partition at hand, which another
one takes over.
"""

import logging
from collections.abc import Sequence
from itertools import islice
from typing import Any, Final

from fondant_spec.errors import StepFailedError
from fondant_spec.worker.partition_tasks import PartitionTask
from fondant_spec.worker.process_pool import AHEAD, Finished
from fondant_spec.worker.step_context import StepContext
from fondant_spec.worker.worker_process import run_task

SCHEDULER: Final = "DASK_SCHEDULER_ADDRESS"


def run_on_cluster(
    step: StepContext, tasks: Sequence[PartitionTask], address: str, finished: Finished
) -> None:
    """Run a transform over partitions on a Dask cluster, a few ahead of each worker.

    Raises:
        StepFailedError: a partition killed one worker after the other.
    """
    from distributed import Client, KilledWorker, as_completed  # noqa: PLC0415 - costs a second

    logging.getLogger("distributed").setLevel(logging.WARNING)
    with Client(address) as client:
        waiting = iter(tasks)

        def submit(task: PartitionTask) -> Any:
            key = f"{step.folder.location}/{task.name}"
            return client.submit(run_task, step, task, key=key, retries=1)

        at_once = max(1, len(client.nthreads())) * AHEAD
        futures = as_completed([submit(task) for task in islice(waiting, at_once)])
        for future in futures:
            try:
                finished(future.result())
            except KilledWorker as error:
                msg = (
                    f"{step.step_id}: {error.task} ended its worker process again and again, most "
                    "likely for want of memory; use fewer workers, or give the step more memory."
                )
                raise StepFailedError(msg) from None
            for task in islice(waiting, 1):
                futures.add(submit(task))
