"""Reporting pods that do not start: what they request, and how to find out why."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from fondant_spec.errors import HostError
from fondant_spec.plain_words import duration
from fondant_spec.runners.kubeflow.following.run_state import PENDING, Pod, RunState
from fondant_spec.runners.kubeflow.following.submitted_run import SubmittedRun

_LONG: Final = 20.0
"""Seconds that a pod may take to start before it is reported; most take ten."""

_LOOKS: Final = 4
"""The same as a number of polls, for callers that poll more often."""


@dataclass
class Waiting:
    """Reports, once per pod, that it has not started for a long time."""

    run: SubmittedRun
    interval: float
    _since: dict[tuple[str, ...], float] = field(default_factory=dict)
    _told: set[tuple[str, ...]] = field(default_factory=set)

    def lines(self, now: RunState) -> Iterator[str]:
        """Yield a line for pods, or a whole run, that have not started for a long time."""
        if now.state == PENDING and not now.tasks and (waited := self._long(())):
            yield (
                f"the run has not started for {duration(waited)}: Argo has not taken it up. "
                f"Argo's own words: {self.run.kubectl.workflow()}"
            )
        for pods, count in now.not_started:
            waited = self._long(tuple(sorted(pod.node_id for pod in pods)))
            silent = [pod for pod in pods if not self._has_started(pod)] if waited else []
            if silent:
                yield self._line(silent, min(count, len(silent)), len(pods), waited)

    def _long(self, ids: tuple[str, ...]) -> float:
        """Return the waiting time in seconds, once, when it has become long; else 0."""
        waited = time.monotonic() - self._since.setdefault(ids, time.monotonic())
        if ids in self._told or waited < min(_LONG, _LOOKS * self.interval):
            return 0.0
        self._told.add(ids)
        return waited

    def _has_started(self, pod: Pod) -> bool:
        """Return whether a pod has output: the list of tasks may be stale, or ambiguous."""
        try:
            return not self.run.log(pod).empty
        except HostError:
            return False

    def _line(self, pods: Sequence[Pod], count: int, of: int, waited: float) -> str:
        pod = pods[0]
        steps = list(dict.fromkeys(self._name(one) for one in pods))
        what = "Kubeflow's own driver pod" if pod.driver else "its pod"
        who = f"{what} has" if of == 1 else f"{count} of {of} pods have"
        line = f"[{', '.join(steps)}] {who} not started for {duration(waited)}"
        planned = self.run.step_of(pod)
        if planned and not pod.driver:
            line += f"; it asks for {self.run.requests.step(planned.id)}"
        return f"{line}. What it waits for: {self.run.kubectl.pending()}"

    def _name(self, pod: Pod) -> str:
        planned = self.run.step_of(pod)
        return planned.id if planned else "the run"
