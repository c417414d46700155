"""Progress of the running steps: rows done, rate and time left."""

import re
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from fondant_spec.errors import HostError
from fondant_spec.pipeline.plan import PlannedStep
from fondant_spec.progress import describe_counts
from fondant_spec.runners.kubeflow.following.pod_log import PodLog
from fondant_spec.runners.kubeflow.following.run_state import RUNNING, SUCCEEDED, RunState
from fondant_spec.runners.kubeflow.following.submitted_run import SubmittedRun

_PACE: Final = 30.0
"""Seconds between two lines of a step."""

_LOOKS: Final = 6
"""The same, in looks at the run, for who looks more often."""

_WINDOW: Final = 20
"""Lines over which the rate is taken."""


@dataclass
class _Meter:
    """When a step was seen to run, when it was told last, and its rows over time."""

    began: float
    told: float
    seen: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=_WINDOW))

    def rate(self, rows: int, now: float) -> float | None:
        """Return the rows a second, once two counts are known."""
        self.seen.append((now, rows))
        then, before = self.seen[0]
        return (rows - before) / (now - then) if rows > before and now > then else None


@dataclass
class StepProgress:
    """Tells, now and then, how far the running steps are."""

    run: SubmittedRun
    interval: float
    _meters: dict[str, _Meter] = field(default_factory=dict)

    def lines(self, now: RunState) -> Iterator[str]:
        """Yield a line for each running step that has not been told for a while."""
        for planned in self.run.plan.steps:
            if self.run.step_state(now, planned) == RUNNING:
                line = self._line(now, planned, time.monotonic())
                if line:
                    yield f"[{planned.id}] {line}"

    def _line(self, now: RunState, planned: PlannedStep, clock: float) -> str:
        meter = self._meters.get(planned.id)
        if meter is None:
            meter = self._meters[planned.id] = _Meter(clock, clock)
            counts = self.run.results.counts(planned)
            meter.seen.append((clock, counts.rows if counts else 0))
            return ""
        if clock - meter.told < min(_PACE, _LOOKS * self.interval):
            return ""
        meter.told = clock
        counts = self.run.results.counts(planned)
        if counts is not None:
            return describe_counts(counts, meter.rate(counts.rows, clock), clock - meter.began)
        return self._slices(now, planned) if planned.step.fan_out > 1 else self._log(now, planned)

    def _slices(self, now: RunState, planned: PlannedStep) -> str:
        pods = [pod for pod in self.run.pods_of(now, planned) if pod.slice is not None]
        done = sum(pod.state == SUCCEEDED for pod in pods)
        return f"{done} of {planned.step.fan_out} slices done"

    def _log(self, now: RunState, planned: PlannedStep) -> str:
        """Return what the pod of a step printed of its progress."""
        pods = [pod for pod in self.run.pods_of(now, planned) if pod.state == RUNNING]
        try:
            log = self.run.log(pods[0]) if pods else PodLog()
        except HostError:  # what cannot be seen is not told; the steps' states still are
            return ""
        printed = log.find(rf"(?:^|\s){re.escape(planned.id)} ([\d,]+(?:/[\d,]+)?, \S.*)")
        return printed[1].rstrip() if printed else ""
