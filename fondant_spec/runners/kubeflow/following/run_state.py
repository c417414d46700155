"""The state of a run as the host reports it: its steps, and their pods.

The host lists every layer of the workflow as a task: each step, the executor in it, its drivers,
the loop over its slices, and around each of these another one for the tries (`executor`, then
`executor(0)`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final, Self

from fondant_spec.runners.kubeflow.following.argo_nodes import (
    children,
    node_names,
    parted,
    workflow_of,
)

PENDING: Final = "PENDING"
RUNNING: Final = "RUNNING"
SUCCEEDED: Final = "SUCCEEDED"
FAILED: Final = "FAILED"

_EXECUTOR: Final = "executor"
_DRIVER: Final = "-driver"
_SLICE: Final = re.compile(r"\((\d+):")
_DEEP: Final = 3
"""The number of layers around the executor of a step: the workflow, the root, and the step."""

_TOGETHER: Final = 2.0
"""Seconds: a task and its first try start together, except for the time it takes to stamp them."""

Task = Mapping[str, Any]


@dataclass(frozen=True)
class Pod:
    """The latest pod of a task: that of a step or slice, or Kubeflow's driver before it.

    Attributes:
        step: the step's name on the host; empty for the driver of the whole run.
        slice: the number of the slice, of a sliced step.
        driver: whether it is Kubeflow's own.
        node_id: its id on the host.
        state: its state; empty if the host does not report it.
        alike: ids of the tasks that may be this pod: tasks that started at the same moment cannot
            be told apart.
    """

    step: str
    slice: int | None
    driver: bool
    node_id: str
    state: str
    alike: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RunState:
    """The state of a run at one moment, and the tasks that the host lists.

    Attributes:
        state: PENDING, RUNNING, SUCCEEDED, FAILED or another word of the host.
        cancelled: whether it was cancelled; the host reports such a run as FAILED.
        tasks: as the host lists them; none, or stale ones, if the workflow is too large for it.
        message: the host's own message, if any.
        seconds: its duration, once it has ended.
    """

    state: str
    cancelled: bool = False
    tasks: tuple[Task, ...] = ()
    message: str = ""
    seconds: float = 0.0

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Self:
        """Parse the host's response."""
        tasks = (answer.get("run_details") or {}).get("task_details") or []
        history = answer.get("state_history") or []
        return cls(
            state=str(answer.get("state", "")),
            cancelled=any(entry.get("state") == "CANCELING" for entry in history),
            tasks=tuple(task for task in tasks if task.get("display_name")),
            message=str((answer.get("error") or {}).get("message", "")).strip(),
            seconds=max(
                0.0, _seconds_at(answer, "finished_at") - _seconds_at(answer, "created_at")
            ),
        )

    def step(self, name: str) -> str:
        """Return the state of a step by its name on the host; empty if it is not listed."""
        return next((_state(task) for task in self.tasks if task["display_name"] == name), "")

    @property
    def workflow(self) -> str:
        """The name of the workflow in the cluster; empty if no task reports it."""
        return workflow_of(self.tasks)

    @cached_property
    def pods(self) -> tuple[Pod, ...]:
        """The latest pod of each task that has one."""
        return tuple(_pods(self.tasks))

    @cached_property
    def not_started(self) -> tuple[tuple[tuple[Pod, ...], int], ...]:
        """Groups of indistinguishable pods, and how many of each group have not started.

        Of several pods that were created together, some may have started; all are listed.
        """
        groups: dict[frozenset[str], list[Pod]] = {}
        for pod in self.pods:
            if pod.alike:
                groups.setdefault(pod.alike, []).append(pod)
        pending = {str(task.get("task_id")) for task in self.tasks if _state(task) == PENDING}
        found = ((tuple(pods), len(alike & pending)) for alike, pods in groups.items())
        return tuple((pods, count) for pods, count in found if count)


def _pods(tasks: Sequence[Task]) -> Iterator[Pod]:
    newest: dict[str, tuple[int, str]] = {}
    for node_id, name in node_names(tasks).items():
        own, number = parted(name)
        newest[own] = max(newest.get(own, (-1, "")), (number, node_id))
    shown, around = _indexed(tasks)
    for own, (number, node_id) in newest.items():
        layers = own.split(".")
        driver = layers[-1].endswith(_DRIVER)
        if driver or (layers[-1] == _EXECUTOR and len(layers) > _DEEP):
            holder = _holder(around[node_id], layers[-1])
            tries = shown.get(f"{layers[-1]}({number})" if number >= 0 else layers[-1], [])
            alike = _alike(tries, holder, number)
            waits = bool(alike) and all(_state(one) == PENDING for one in alike)
            slices = _SLICE.search(own)
            yield Pod(
                step=_step(layers),
                slice=int(slices[1]) if slices else None,
                driver=driver,
                node_id=node_id,
                state=PENDING if waits else _state(holder),
                alike=frozenset(str(one.get("task_id")) for one in alike),
            )


def _indexed(tasks: Sequence[Task]) -> tuple[dict[str, list[Task]], dict[str, list[Task]]]:
    """Index the tasks by their names, and by the ids of their children."""
    shown: dict[str, list[Task]] = {}
    around: dict[str, list[Task]] = {}
    for task in tasks:
        shown.setdefault(task["display_name"], []).append(task)
        for node_id in children(task):
            around.setdefault(node_id, []).append(task)
    return shown, around


def _step(layers: Sequence[str]) -> str:
    """Return the step that a nested task belongs to; the step's own driver is next to it."""
    if len(layers) < _DEEP:
        return ""
    name = parted(layers[_DEEP - 1])[0]
    return name.removesuffix(_DRIVER) if len(layers) == _DEEP else name


def _holder(around: Sequence[Task], name: str) -> Task:
    """Return the task that a pod is a try of; if tries have no layer, the step around it."""
    same = [task for task in around if task["display_name"] == name]
    return next(iter(same or (around if name == _EXECUTOR else [])), {})


def _alike(tries: Sequence[Task], holder: Task, number: int) -> list[Task]:
    """Return the tries that may belong to a task, if that is still running."""
    if _state(holder) != RUNNING:
        return []
    began = _began(holder)
    found = [task for task in tries if _began(task) >= began]
    return [task for task in found if number > 0 or _began(task) - began <= _TOGETHER]


def _state(task: Task) -> str:
    return str(task.get("state", ""))


def _began(task: Task) -> float:
    return _seconds_at(task, "start_time")


def _seconds_at(answer: Task, name: str) -> float:
    """Return a timestamp of the host in seconds; 0 if it is not known yet."""
    text = answer.get(name)
    return datetime.fromisoformat(text).timestamp() if text else 0.0
