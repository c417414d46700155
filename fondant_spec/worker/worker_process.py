"""What lives in a worker process: the component, set up once, and until another step comes."""

import atexit
import pickle
import traceback
from contextlib import ExitStack
from functools import cache
from threading import Lock
from typing import Any

from fondant_spec.dataset.checkpoint import Checkpoint
from fondant_spec.temporary import is_temporary, mark
from fondant_spec.worker.base_components import StreamTransformComponent
from fondant_spec.worker.partition_tasks import PartitionTask
from fondant_spec.worker.retry_rejects import retry_partition
from fondant_spec.worker.run_partition import Advance, transform_partition
from fondant_spec.worker.step_context import StepContext


def run_task(step: StepContext, task: PartitionTask) -> Checkpoint:
    """Run a partition with the component of this process.

    Raises:
        RuntimeError: in place of an error that cannot be sent to another process.
    """
    try:
        return _worker().run(step, task)
    except Exception as error:
        mark(error)
        if not _can_be_sent(error):
            text = "".join(traceback.format_exception(error))
            sent = RuntimeError(f"{type(error).__name__}: {error}\n{text}")
            vars(sent)["temporary"] = is_temporary(error)
            raise sent from None
        raise


def run_with(
    step: StepContext, component: StreamTransformComponent, task: PartitionTask, advance: Advance
) -> Checkpoint:
    """Run a partition, or its failed rows alone, with a component that is set up."""
    if task.earlier is not None:
        return retry_partition(step, component, task, task.earlier, advance)
    return transform_partition(step, component, task, advance)


def _can_be_sent(error: Exception) -> bool:
    """Return whether an error survives pickling: not every class can be made of what it keeps."""
    try:
        return type(pickle.loads(pickle.dumps(error))) is type(error)  # noqa: S301 - our own
    except Exception:  # noqa: BLE001 - whatever its class does
        return False


class _Worker:
    def __init__(self) -> None:
        self._lock = Lock()
        self._of = ("", "")
        self._component: Any = None
        self._stack = ExitStack()
        atexit.register(self._stack.close)

    def run(self, step: StepContext, task: PartitionTask) -> Checkpoint:
        """Run one partition at a time, so that the component is there as long as it lasts."""
        with self._lock:
            of = step.folder.location, step.run_id
            if self._of != of:
                self._of = ("", "")
                self._stack.close()
                self._component = self._stack.enter_context(step.component())
                self._of = of
            return run_with(step, self._component, task, _reported_by_the_collector)


@cache
def _worker() -> _Worker:
    return _Worker()


def _reported_by_the_collector(rows: int, rejects: int = 0, before: int = 0) -> None:
    """Leave the progress to the process that collects the checkpoints."""
