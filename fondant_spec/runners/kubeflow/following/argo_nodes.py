"""The nodes of a workflow of Argo: which task of a run lies where.

A host tells the ids of a task's children, but not the task's own. Argo makes a node's id of its
name (`<workflow>-<FNV-1a of the name>`), and its name of those of the layers that it lies in: a
task of a graph is `.task`, a try `(0)`, an iteration of a loop `(0:0)`. So names are found by
trying those that the listed tasks can form (argo-workflows, workflow/util: `NodeID`).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

_OFFSET, _PRIME = 0x811C9DC5, 0x01000193
_LAYERS: Final = re.compile(r"(\([^()]*\))+$")
_LAST_LAYER: Final = re.compile(r"\([^()]*\)$")
_TRY: Final = re.compile(r"\((\d+)\)$")


def children(task: Mapping[str, Any]) -> list[str]:
    """Return the ids of the nodes that a task tells to be its children."""
    found = task.get("child_tasks") or []
    return [child["pod_name"] for child in found if child.get("pod_name")]


def workflow_of(tasks: Iterable[Mapping[str, Any]]) -> str:
    """Return the name of the workflow; empty where no task tells it."""
    node_id = next((child for task in tasks for child in children(task)), "")
    return node_id.rpartition("-")[0]


def node_names(tasks: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the name of each node that is the child of a listed task, by its id."""
    ids = {child for task in tasks for child in children(task)}
    workflow = workflow_of(tasks)
    shown = {task["display_name"] for task in tasks}
    inner = _by_layer(shown)
    in_graph = [f".{name}" for name in {_LAYERS.sub("", name) for name in shown} - {workflow}]
    names: dict[str, str] = {}
    queue = [(workflow, _hash(workflow))]
    while queue:
        name, hashed = queue.pop()
        for part in inner.get(name.rpartition(".")[2]) or in_graph:
            below = _hash(part, hashed)
            node_id = f"{workflow}-{below}"
            if node_id in ids and node_id not in names:
                names[node_id] = name + part
                queue.append((name + part, below))
    return names


def parted(name: str) -> tuple[str, int]:
    """Return a name without the number of its try, and that number; -1 where it has none."""
    match = _TRY.search(name)
    return (name[: match.start()], int(match[1])) if match else (name, -1)


def _by_layer(shown: Iterable[str]) -> dict[str, list[str]]:
    """Return the layers inside each name that is shown: `executor` has `(0)`."""
    inner: dict[str, list[str]] = {}
    for name in shown:
        if match := _LAST_LAYER.search(name):
            inner.setdefault(name[: match.start()], []).append(match[0])
    return inner


def _hash(text: str, before: int = _OFFSET) -> int:
    """Return FNV-1a of 32 bits of a text, or of one that goes on after that with a hash before."""
    for byte in text.encode():
        before = (before ^ byte) * _PRIME & 0xFFFFFFFF
    return before
