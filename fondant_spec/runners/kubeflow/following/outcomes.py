"""The results of a run's steps, from its base path, or else from the logs of their pods."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from fondant_spec.dataset.manifest import Manifest
from fondant_spec.dataset.reject_listing import in_words
from fondant_spec.errors import HostError
from fondant_spec.pipeline.plan import PlannedStep
from fondant_spec.pipeline.run_history import places
from fondant_spec.runners.kubeflow.following.pod_log import PodLog
from fondant_spec.runners.kubeflow.following.run_state import RunState
from fondant_spec.runners.kubeflow.following.submitted_run import SubmittedRun


@dataclass(frozen=True)
class Outcome:
    """The result of a step: rows, their location, and rejects by reason."""

    rows: int
    place: str
    rejects: Mapping[str, int]

    def __str__(self) -> str:
        """Format rows and rejects, as `422 rows, 3 rejects (gone 2, slow 1)`."""
        return f"{self.rows:,} rows{describe_rejects(self.rejects)}"


@dataclass
class Outcomes:
    """The results of a run's steps, each looked up when first requested."""

    run: SubmittedRun
    _known: dict[str, Outcome] = field(default_factory=dict)

    def of(self, now: RunState, planned: PlannedStep) -> Outcome | None:
        """Return the result of a finished step; None if neither source has it."""
        if planned.id not in self._known:
            manifest = self.run.results.manifest(planned)
            found = _committed(manifest) if manifest else self._printed(now, planned)
            if found is None:
                return None
            self._known[planned.id] = found
        return self._known[planned.id]

    def _printed(self, now: RunState, planned: PlannedStep) -> Outcome | None:
        """Return the result that a step logged; a sliced step logs it when it commits."""
        pods = [pod for pod in self.run.pods_of(now, planned) if pod.slice is None]
        try:
            return _read(self.run.log(pods[0]), planned.id) if pods else None
        except HostError:
            return None


def describe_rejects(rejects: Mapping[str, int]) -> str:
    """Return `, 3 rejects (gone 2, slow 1)`; empty if there are none."""
    total = sum(rejects.values())
    return f", {total:,} rejects ({in_words(rejects)})" if total else ""


def _committed(manifest: Manifest) -> Outcome:
    place = ", ".join(places(manifest.artifacts)) or manifest.folder
    return Outcome(manifest.rows, place, manifest.rejects)


def _read(log: PodLog, step_id: str) -> Outcome | None:
    """Parse the last lines of a step's log, which the executor writes as it commits."""
    name = re.escape(step_id)
    done = log.find(rf"(?:^|\s){name}: (?:already done, )?([\d,]+) rows at (\S.*)")
    if done is None:
        return None
    lost = log.find(rf"(?:^|\s){name}: [\d,]+ rows in, (.+)")
    rejects: Counter[str] = Counter()
    for reasons in re.findall(r"\(([^()]*)\)", lost[1]) if lost else ():
        for reason, count in re.findall(r"(\S+) ([\d,]+)(?:, |$)", reasons):
            rejects[reason] += _number(count)
    return Outcome(_number(done[1]), done[2].strip(), rejects)


def _number(text: str) -> int:
    return int(text.replace(",", ""))
