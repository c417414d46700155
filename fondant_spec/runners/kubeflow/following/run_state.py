"""A run as the host tells it: how its steps stand, and which pods are theirs.

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
"""Layers that lie around the executor of a step: the workflow, the root, and the step."""

_TOGETHER: Final = 2.0
"""Seconds: a task and its first try begin at once, but for what it takes to stamp them."""

Task = Mapping[str, Any]


@dataclass(frozen=True)
class Pod:
    """The newest pod of a task: the work of a step or of a slice, or Kubeflow's driver before it.

    Attributes:
        step: the step's name on the host; empty for the driver of the whole run.
        slice: the number of the slice, of a step that is spread.
        driver: whether it is Kubeflow's own.
        node_id: by which the host knows it.
        state: how it stands; empty where the host does not tell.
        alike: the tasks that may be this pod, by their ids: those that began at the same moment
            are told apart by nothing.
    """

    step: str
    slice: int | None
    driver: bool
    node_id: str
    state: str
    alike: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RunState:
    """A run at one moment: its state, and the tasks that the host lists.

    Attributes:
        state: PENDING, RUNNING, SUCCEEDED, FAILED or another word of the host.
        cancelled: whether somebody asked for its end; the host ends such a run as FAILED.
        tasks: as the host gives them; none, or old ones, of a workflow that is too large for it.
        message: the host's own words, where it has any.
        seconds: that it took, once it ended.
    """

    state: str
    cancelled: bool = False
    tasks: tuple[Task, ...] = ()
    message: str = ""
    seconds: float = 0.0

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Self:
        """Return what an answer says."""
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
        """The name of the workflow in the cluster; empty where no task tells it."""
        return workflow_of(self.tasks)

    @cached_property
    def pods(self) -> tuple[Pod, ...]:
        """The newest pod of each task that has one."""
        return tuple(_pods(self.tasks))

    @cached_property
    def not_started(self) -> tuple[tuple[tuple[Pod, ...], int], ...]:
        """Pods that have not started, each with those like it, and how many of these it holds for.

        One of several pods that began together may have started: then all of them stand here.
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
    """Return the tasks by their names, and by the ids of their children."""
    shown: dict[str, list[Task]] = {}
    around: dict[str, list[Task]] = {}
    for task in tasks:
        shown.setdefault(task["display_name"], []).append(task)
        for node_id in children(task):
            around.setdefault(node_id, []).append(task)
    return shown, around


def _step(layers: Sequence[str]) -> str:
    """Return the step in whose layers something lies; its own driver lies beside it."""
    if len(layers) < _DEEP:
        return ""
    name = parted(layers[_DEEP - 1])[0]
    return name.removesuffix(_DRIVER) if len(layers) == _DEEP else name


def _holder(around: Sequence[Task], name: str) -> Task:
    """Return the task that a pod is a try of; where tries have no layer, the step around it."""
    same = [task for task in around if task["display_name"] == name]
    return next(iter(same or (around if name == _EXECUTOR else [])), {})


def _alike(tries: Sequence[Task], holder: Task, number: int) -> list[Task]:
    """Return those that may be the try of a task, if that is still going on."""
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
    """Return a time of the host; 0 where it is not known yet."""
    text = answer.get(name)
    return datetime.fromisoformat(text).timestamp() if text else 0.0
