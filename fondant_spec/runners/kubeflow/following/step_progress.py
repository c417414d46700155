"""Progress of the running steps: rows done, rate and time left."""

import re
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from fondant_spec.errors import HostError
from fondant_spec.pipeline.plan import PlannedStep
from fondant_spec.row_counts import describe_counts
from fondant_spec.runners.kubeflow.following.run_state import RUNNING, SUCCEEDED, Pod, RunState
from fondant_spec.runners.kubeflow.following.submitted_run import SubmittedRun

_PACE: Final = 30.0
"""Seconds between two lines of a step."""

_LOOKS: Final = 6
"""The same as a number of polls, for callers that poll more often."""

_WINDOW: Final = 20
"""Lines over which the rate is averaged."""


@dataclass
class _Meter:
    """When a step was first seen running and last reported, and its row counts over time."""

    began: float
    told: float
    seen: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=_WINDOW))

    def rate(self, rows: int, now: float) -> float | None:
        """Return rows per second, once two counts are known."""
        self.seen.append((now, rows))
        then, before = self.seen[0]
        return (rows - before) / (now - then) if rows > before and now > then else None


@dataclass
class StepProgress:
    """Reports at intervals how far the running steps are."""

    run: SubmittedRun
    interval: float
    _meters: dict[str, _Meter] = field(default_factory=dict)

    def lines(self, now: RunState) -> Iterator[str]:
        """Yield a line for each running step that was not reported for a while."""
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
        return self._told_by_pods(self.run.pods_of(now, planned), planned)

    def _told_by_pods(self, pods: Sequence[Pod], planned: PlannedStep) -> str:
        """Describe what is known without the base path: slices done, and what one pod printed."""
        running = next((pod for pod in pods if pod.state == RUNNING), None)
        printed = self._printed(running, planned.id) if running else ""
        if planned.step.fan_out == 1:
            return printed
        done = sum(pod.state == SUCCEEDED for pod in pods if pod.slice is not None)
        told = f"{done} of {planned.step.fan_out} slices done"
        slice_of = running.slice if running else None
        return f"{told}; slice {slice_of}: {printed}" if printed and slice_of is not None else told

    def _printed(self, pod: Pod, step_id: str) -> str:
        """Return the row counts that a pod printed last."""
        try:
            log = self.run.log(pod)
        except HostError:  # no counts then; the steps' states are still shown
            return ""
        counts = log.find(rf"(?:^|\s){re.escape(step_id)} ([\d,]+(?:/[\d,]+)?, \S.*)")
        return counts[1].rstrip() if counts else ""
