"""Why a run failed, which the host itself does not say: the logs of the pods that did.

A pod fails by what runs in it, by Kubeflow's own driver before it, or from outside. Where none is
to blame, Argo ended the run.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fondant_spec.errors import HostError, StepFailedError
from fondant_spec.exit_codes import EXIT_TEMPORARY
from fondant_spec.pipeline.plan import PlannedStep
from fondant_spec.runners.kubeflow.following.pod_log import PodLog
from fondant_spec.runners.kubeflow.following.run_state import FAILED, RUNNING, Pod, RunState
from fondant_spec.runners.kubeflow.following.submitted_run import SubmittedRun

_TAIL: Final = 20
"""Lines of a log that are shown."""

_MOST_LOGS: Final = 20
"""Logs that are read, of slices that failed."""

_FROM_OUTSIDE: Final = "was stopped from outside, as when memory runs out or its node goes away."
_DIGITS: Final = re.compile(r"\d+")


@dataclass(frozen=True)
class _Failure:
    """How one pod failed, in words, the end of what it printed, and what to do to see more.

    `temporary` says that its step ended so because what it asks for is away.
    """

    pod: Pod
    how: str
    lines: tuple[str, ...] = ()
    more: str = ""
    temporary: bool = False

    @property
    def kind(self) -> tuple[str, ...]:
        """What it shares with the same failure of another slice: all but numbers, as of times."""
        words = (self.pod.step, str(self.pod.driver), self.how, *self.lines[-1:])
        return tuple(_DIGITS.sub("#", word) for word in words)


def failure_of(run: SubmittedRun, now: RunState) -> StepFailedError:
    """Return what went wrong in a run as an error: the log of the step that failed first."""
    pods = sorted((pod for pod in now.pods if pod.state == FAILED), key=lambda p: p.slice or 0)
    kinds: dict[tuple[str, ...], list[_Failure]] = {}
    for failure in (_failure(run, pod) for pod in pods[:_MOST_LOGS]):
        kinds.setdefault(failure.kind, []).append(failure)
    told = [_told(run, alike) for alike in kinds.values()]
    if len(pods) > _MOST_LOGS:
        told.append(f"{len(pods) - _MOST_LOGS} more pods failed; their logs were not read.")
    message = "\n".join([*(told or [_by_argo(run, now)]), f"All logs: {run.url}"])
    found = [failure for alike in kinds.values() for failure in alike]
    may_pass = bool(found) and all(failure.temporary for failure in found)
    return StepFailedError(message, temporary=may_pass)


def _failure(run: SubmittedRun, pod: Pod) -> _Failure:
    command = f"More: {run.kubectl.log(pod.node_id)}"
    try:
        log = run.log(pod)
    except HostError as error:
        return _Failure(pod, f"failed, and its log cannot be read here: {error}", more=command)
    if log.empty:
        return _Failure(pod, "failed, and the host has no log of it.", more=command)
    if pod.driver:
        return _Failure(pod, "failed.", log.told or log.lines)
    how = _how(run, pod, log)
    may_pass = log.exit_status == EXIT_TEMPORARY
    more = "" if how else command
    return _Failure(pod, how or _FROM_OUTSIDE, log.lines, more=more, temporary=may_pass)


def _how(run: SubmittedRun, pod: Pod, log: PodLog) -> str:
    """Return how a pod failed; empty where Kubeflow's launcher in it does not say."""
    if log.killed:
        return _out_of_memory(run, pod)
    if log.exit_status is not None:
        return f"failed with exit code {log.exit_status}."
    return f"failed in Kubeflow's own launcher ({log.told[-1]})." if log.told else ""


def _out_of_memory(run: SubmittedRun, pod: Pod) -> str:
    step = run.step_of(pod)
    if step is None:
        return "was killed."
    limit = run.requests.step(step.id).memory
    had = f"its pod may have {limit}" if limit else "its pod has no limit of its own"
    return (
        f"was killed, most likely because memory ran out ({had}). Give it more with "
        f"`--set {step.id}.@memory=...`, or in its `Resources` in the file of the pipeline."
    )


def _told(run: SubmittedRun, alike: Sequence[_Failure]) -> str:
    """Return one text for failures of one kind."""
    first = alike[0]
    step = run.step_of(first.pod)
    who = f"step {step.id!r}" if step else "the run"
    if first.pod.driver:
        who = f"Kubeflow's own driver of {who}"
    slices = sorted(one.pod.slice for one in alike if one.pod.slice is not None)
    if step and slices:
        which = "slice" if len(slices) == 1 else "slices"
        who += f", {which} {', '.join(map(str, slices))} of {step.step.fan_out},"
    lines = [f"{who} {first.how}"]
    if first.lines:
        lines[0] += " The end of its log:" if len(alike) == 1 else " The end of the first's log:"
    return "\n".join([*lines, *first.lines[-_TAIL:], *filter(None, [first.more])])


def _by_argo(run: SubmittedRun, now: RunState) -> str:
    reason = f": {now.message}" if now.message else ""
    at_work = [_with_limit(one) for one in run.plan.steps if run.step_state(now, one) == RUNNING]
    running = f" At its end there ran {', '.join(at_work)}." if at_work else ""
    return (
        f"the run failed{reason}. The host lists no step that did: Argo ended the run, or its "
        f"workflow is so large that its steps are listed no more.{running} Argo's own words, and "
        f"the logs of pods that failed:\n{run.kubectl.workflow()}\n{run.kubectl.failed()}"
    )


def _with_limit(planned: PlannedStep) -> str:
    """Return a step, and how long it may take: Argo ends one that takes longer without a word."""
    limit = planned.step.resources.timeout
    return planned.id if limit is None else f"{planned.id} (its @timeout is {limit} s)"
