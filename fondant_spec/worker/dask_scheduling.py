"""Distributing a step's partitions over the user's own Dask cluster.

`DASK_SCHEDULER_ADDRESS` is its address; Dask's own configuration says how it is secured. Its number
of workers is its own matter, and may change at any time. A worker that is killed loses its current
partition, which another one takes over; a restarted scheduler is given the remaining ones.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from fondant_spec.errors import StepFailedError
from fondant_spec.worker.partition_tasks import PartitionTask
from fondant_spec.worker.process_pool import Finished
from fondant_spec.worker.step_context import StepContext
from fondant_spec.worker.worker_process import run_task

SCHEDULER: Final = "DASK_SCHEDULER_ADDRESS"

_GPU: Final = "GPU"
"""The resource that workers with a GPU declare: `dask worker --resources GPU=1`."""

_AHEAD: Final = 2
"""Partitions submitted per worker: one running and one waiting."""

_MOST_ROUNDS_WITHOUT_WORK: Final = 3
_PATIENCE: Final = "60 s"
"""How long a scheduler may take to respond."""


@dataclass
class _Round:
    """Partitions on a cluster, until all are done or its scheduler is lost.

    `deadly` are those that killed several workers in turn, `lost` those that the scheduler no
    longer knows.
    """

    step: StepContext
    deadly: list[str] = field(default_factory=list)
    lost: list[PartitionTask] = field(default_factory=list)

    def run(self, client: Any, tasks: Sequence[PartitionTask], finished: Finished) -> None:
        """Run partitions, a few ahead of each worker."""
        from distributed import KilledWorker, as_completed  # noqa: PLC0415

        waiting = iter(tasks)
        at_once = max(1, len(client.nthreads())) * _AHEAD
        resources = self._resources(client)
        running = {self._submit(client, task, resources): task for task in islice(waiting, at_once)}
        futures = as_completed(running)
        for future in futures:
            task = running.pop(future)
            try:
                finished(future.result())
            except KilledWorker:
                self.deadly.append(task.name)
            except CancelledError:
                self.lost += [task, *running.values(), *waiting]
                return
            for following in islice(waiting, 1):
                new = self._submit(client, following, resources)
                running[new] = following
                futures.add(new)

    def _submit(self, client: Any, task: PartitionTask, resources: dict[str, int]) -> Any:
        # A partition submitted by an earlier run may still be running, with a lease that is lost.
        run = self.step.lease.token if self.step.lease else self.step.run_id
        key = f"{self.step.folder.location}/{task.name}-{run}"
        return client.submit(
            run_task, self.step, task, key=key, retries=1, resources=resources or None
        )

    def _resources(self, client: Any) -> dict[str, int]:
        """Return the resources a worker must have: a GPU if the step uses one and any has one."""
        if not self.step.component_class().uses_device:
            return {}
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        return {_GPU: 1} if any(_GPU in worker["resources"] for worker in workers) else {}


def run_on_cluster(
    step: StepContext, tasks: Sequence[PartitionTask], address: str, finished: Finished
) -> None:
    """Run a transform over partitions on a Dask cluster.

    Raises:
        StepFailedError: no scheduler responds, or some partitions killed several workers in turn;
            all others are finished.
    """
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    left, deadly, in_vain = list(tasks), list[str](), 0
    while left and in_vain < _MOST_ROUNDS_WITHOUT_WORK:
        now = _Round(step)
        with _connected(step, address) as client:
            now.run(client, left, finished)
        in_vain = in_vain + 1 if len(now.lost) == len(left) else 0
        deadly += now.deadly
        left = now.lost
    if left:
        msg = (
            f"{step.step_id}: the scheduler at {address} lost its work {in_vain} times; "
            "see its own log. The finished partitions are kept."
        )
        raise StepFailedError(msg)
    if deadly:
        msg = (
            f"{step.step_id}: {', '.join(sorted(deadly))}: one worker after the other was killed "
            "over this partition, most likely for want of memory; give the workers more memory, "
            "or make partitions smaller (rows_per_partition). The other partitions are kept."
        )
        raise StepFailedError(msg)


def _connected(step: StepContext, address: str) -> Any:
    from distributed import Client  # noqa: PLC0415 - costs a second

    try:
        return Client(address, timeout=_PATIENCE)
    except (OSError, ValueError) as error:
        msg = (
            f"{step.step_id}: no Dask scheduler answers at {address} ({SCHEDULER}): {error}; "
            "start it, or take the variable away to run on this machine."
        )
        raise StepFailedError(msg) from None
