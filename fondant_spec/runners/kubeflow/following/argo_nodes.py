"""The nodes of an Argo workflow: which task of a run is nested where.

A host reports the ids of a task's children, but not the task's own. Argo derives a node's id from
its name (`<workflow>-<FNV-1a of the name>`), and its name from those of the layers around it: a
task of a graph is `.task`, a try `(0)`, an iteration of a loop `(0:0)`. So names are found by
hashing all candidates that the listed tasks allow (argo-workflows, workflow/util: `NodeID`).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

_OFFSET, _PRIME = 0x811C9DC5, 0x01000193
_LAYERS: Final = re.compile(r"(\([^()]*\))+$")
_LAST_LAYER: Final = re.compile(r"\([^()]*\)$")
_TRY: Final = re.compile(r"\((\d+)\)$")


def children(task: Mapping[str, Any]) -> list[str]:
    """Return the node ids of a task's children, as reported."""
    found = task.get("child_tasks") or []
    return [child["pod_name"] for child in found if child.get("pod_name")]


def workflow_of(tasks: Iterable[Mapping[str, Any]]) -> str:
    """Return the name of the workflow; empty if no task reports it."""
    node_id = next((child for task in tasks for child in children(task)), "")
    return node_id.rpartition("-")[0]


def node_names(tasks: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the name of each child of a listed task, by node id."""
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
    """Split a name into the part before its try's number, and that number; -1 without one."""
    match = _TRY.search(name)
    return (name[: match.start()], int(match[1])) if match else (name, -1)


def _by_layer(shown: Iterable[str]) -> dict[str, list[str]]:
    """Return the layers nested in each displayed name: `executor` has `(0)`."""
    inner: dict[str, list[str]] = {}
    for name in shown:
        if match := _LAST_LAYER.search(name):
            inner.setdefault(name[: match.start()], []).append(match[0])
    return inner


def _hash(text: str, before: int = _OFFSET) -> int:
    """Return the 32-bit FNV-1a hash of a text, or of a continuation, given the hash before it."""
    for byte in text.encode():
        before = (before ^ byte) * _PRIME & 0xFFFFFFFF
    return before
