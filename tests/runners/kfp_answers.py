"""Answers of a Kubeflow Pipelines server about a run: recorded ones, and others like them."""

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

RECORDINGS = Path(__file__).parent / "recordings"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
WORKFLOW = "small-one-abcde"

_NEVER = "1970-01-01T00:00:00Z"
_GOING_ON = ("PENDING", "RUNNING", "CANCELING")

Answer = dict[str, Any]


def recorded(name: str) -> Answer:
    """Return an answer that a real server gave."""
    return dict(json.loads((RECORDINGS / f"{name}.json").read_text(encoding="utf-8")))


def recorded_log(name: str) -> str:
    """Return what a real server gave as the log of a pod."""
    return (RECORDINGS / f"{name}.log").read_text(encoding="utf-8")


def cancelling(answer: Answer) -> Answer:
    """Return an answer from the minute before a run that was terminated ended.

    Not recorded as such: its states and their order are those of the run that was.
    """
    history = answer["state_history"][:-1]
    assert history[-1]["state"] == "CANCELING"
    return answer | {"state": "CANCELING", "state_history": history, "finished_at": _NEVER}


def compressed(answer: Answer, state: str) -> Answer:
    """Return an answer on a workflow of more than 1 MB: its state goes on, its tasks stand still.

    Seen, but not recorded.
    """
    history = [*answer["state_history"], {"update_time": _text(BEGIN), "state": state}]
    return answer | {"state": state, "state_history": history}


@dataclass
class Look:
    """An answer on a run of which no recording is at hand, made as the server makes them.

    Attributes:
        state: the run's.
        tasks: the name of a step on the host to its state, or the states of its slices. PENDING is
            the state of its pod, as the server itself says RUNNING of the step by then.
        drivers: the same of Kubeflow's own drivers, where these are not through.
        error: the server's own words; none were ever seen there.
        tries: whether each task is wrapped in its tries, as it is since June 2026. That earlier
            servers do without was read in their source, not recorded.
    """

    state: str
    tasks: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    drivers: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    tries: bool = True

    def answer(self) -> Answer:
        """Return what the server would say."""
        tasks = _Tasks(tries=self.tries)
        root = tasks.tried(WORKFLOW, _around(self.state))
        driver = tasks.tried(f"{root}.root-driver", "SUCCEEDED", leaf=True, above=root)
        above = tasks.tried(f"{root}.root", _around(self.state), above=driver)
        within = above
        for n, (name, state) in enumerate(self.tasks.items()):
            tasks.at = BEGIN + timedelta(seconds=20 * n)
            own = f"{within}.{name}"
            driven = self.drivers.get(name, "SUCCEEDED")
            above = tasks.tried(f"{own}-driver", driven, leaf=True, above=above)
            if driven == "SUCCEEDED":
                above = tasks.step(own, state, above)
        history = [{"update_time": _text(BEGIN), "state": self.state}]
        error = {"error": {"code": 13, "message": self.error}} if self.error else {}
        ended = _text(BEGIN + timedelta(minutes=4)) if self.state not in _GOING_ON else _NEVER
        return {
            "state": self.state,
            "created_at": _text(BEGIN),
            "finished_at": ended,
            "state_history": history,
            "run_details": {"task_details": tasks.listed()},
        } | error


def node_id(*layers: str, workflow: str = WORKFLOW) -> str:
    """Return the id of a node below the root: `node_id("double(0)", "executor(0)")`."""
    return _id(".".join([f"{workflow}(0)", "root(0)", *layers]), workflow)


def slice_id(step: str, number: int) -> str:
    """Return the id of the pod of a slice."""
    turn = f"iteration-iterations({number}:{number})(0)"
    inner = (f"{step}-slices(0)", "executor(0)")
    return node_id(f"{step}(0)", "for-loop-2(0)", turn, "iteration-item(0)", *inner)


def _id(name: str, workflow: str) -> str:
    """Return the id that Argo gives to a node of that name: FNV-1a of 32 bits."""
    value = 2166136261
    for byte in name.encode():
        value = ((value ^ byte) * 16777619) % 2**32
    return f"{workflow}-{value}"


class _Tasks:
    """The tasks of a run by the names of their nodes, each with the layer of its tries."""

    def __init__(self, *, tries: bool) -> None:
        self.at = BEGIN
        self._tries = tries
        self._tasks: dict[str, Answer] = {}

    def listed(self) -> list[Answer]:
        """Return the tasks in the server's order, which says nothing."""
        return sorted(self._tasks.values(), key=lambda task: str(task["task_id"]))

    def tried(self, name: str, state: str, *, leaf: bool = False, above: str = "") -> str:
        """Add a node and its first try, and return the name of that."""
        if not self._tries:
            return self._add(name, state, above)
        own = _around(state) if leaf else state
        self._add(name, own, above)
        return self._add(f"{name}(0)", state, name)

    def step(self, name: str, state: str | Sequence[str], above: str) -> str:
        """Add a step, and return the name of its try, from which the next one goes on."""
        if isinstance(state, str):
            top = self.tried(name, _around(state), above=above)
            self.tried(f"{top}.executor", state, leaf=True, above=top)
            return top
        ends = [one for one in ("PENDING", "RUNNING", "FAILED", "SUCCEEDED") if one in state]
        whole = _around(ends[0])
        top = self.tried(name, whole, above=above)
        loop = self.tried(f"{top}.for-loop-2", whole, above=top)
        driver = self.tried(f"{loop}.iteration-driver", "SUCCEEDED", leaf=True, above=loop)
        rounds = self._add(f"{loop}.iteration-iterations", whole, driver)
        step = name.rpartition(".")[2]
        for number, one in enumerate(state):
            self._slice(step, number, one, rounds)
        if whole == "SUCCEEDED":
            commit = f"{top}.{step}-commit"
            above = self.tried(f"{commit}-driver", whole, leaf=True, above=loop)
            inner = self.tried(commit, whole, above=above)
            self.tried(f"{inner}.executor", whole, leaf=True, above=inner)
        return top

    def _slice(self, step: str, number: int, state: str, rounds: str) -> None:
        own = _around(state)
        turn = self.tried(f"{rounds}({number}:{number})", own, above=rounds)
        above = self.tried(f"{turn}.iteration-item-driver", "SUCCEEDED", leaf=True, above=turn)
        item = self.tried(f"{turn}.iteration-item", own, above=above)
        slices = f"{item}.{step}-slices"
        above = self.tried(f"{slices}-driver", "SUCCEEDED", leaf=True, above=item)
        inner = self.tried(slices, own, above=above)
        self.tried(f"{inner}.executor", state, leaf=True, above=inner)

    def _add(self, name: str, state: str, above: str) -> str:
        self._tasks[name] = {
            "task_id": str(uuid.uuid4()),
            "display_name": name.rpartition(".")[2],
            "start_time": _text(self.at),
            "state": state,
        }
        if above:
            child = {"pod_name": _id(name, WORKFLOW)}
            self._tasks[above].setdefault("child_tasks", []).append(child)
        return name


def _around(state: str) -> str:
    """Return the state of what lies around a pod in some state."""
    return "RUNNING" if state == "PENDING" else state


def _text(when: datetime) -> str:
    return when.isoformat().replace("+00:00", "Z")


def names(answer: Answer) -> Iterator[tuple[str, int]]:
    """Yield the name of each listed task, and the number of its children."""
    for task in answer["run_details"]["task_details"]:
        yield task["display_name"], len(task.get("child_tasks", []))
