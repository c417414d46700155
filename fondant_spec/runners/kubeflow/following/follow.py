"""Following a run on a host until it ends."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from fondant_spec.errors import HostError, RunCancelledError
from fondant_spec.runners.kubeflow.following.ending import describe_end
from fondant_spec.runners.kubeflow.following.failures import failure_of
from fondant_spec.runners.kubeflow.following.outcomes import Outcomes
from fondant_spec.runners.kubeflow.following.run_state import FAILED, PENDING, SUCCEEDED, RunState
from fondant_spec.runners.kubeflow.following.step_progress import StepProgress
from fondant_spec.runners.kubeflow.following.submitted_run import SubmittedRun
from fondant_spec.runners.kubeflow.following.waiting import Waiting
from fondant_spec.runners.kubeflow.obstacles import NotOnHostError
from fondant_spec.shown_text import tell

PATIENCE: Final = 900.0
"""Seconds that a host may be away before we give up on following the run."""

_ENDED: Final = frozenset({SUCCEEDED, FAILED, "CANCELED", "SKIPPED"})

Say = Callable[[str], None]


def follow(
    run: SubmittedRun, say: Say = tell, *, interval: float, patience: float = PATIENCE
) -> None:
    """Tell how the steps of a run go until it ends, and how it ended.

    Args:
        run: what is followed.
        say: is given each line.
        interval: seconds between two looks.
        patience: seconds that the host may be away.

    Raises:
        StepFailedError: the run failed; the message has the end of the failed step's log.
        RunCancelledError: somebody ended the run, or deleted it.
        HostError: the host stays away, or no longer lets us look.
    """
    teller = _Teller(run, say, Waiting(run, interval), StepProgress(run, interval), Outcomes(run))
    while True:
        now = _look(run, say, interval, patience)
        teller.tell(now)
        if now.state in _ENDED:
            break
        time.sleep(interval)
    if now.state == SUCCEEDED:
        say(describe_end(run, teller.outcomes, now))
    elif now.cancelled or now.state == "CANCELED":
        msg = f"the run was cancelled; what is finished is kept, run again to go on. {run.url}"
        raise RunCancelledError(msg)
    else:
        raise failure_of(run, now)


@dataclass
class _Teller:
    """Says what is new in each look."""

    run: SubmittedRun
    say: Say
    waiting: Waiting
    progress: StepProgress
    outcomes: Outcomes
    reported: dict[str, str] = field(default_factory=dict)
    cancelling: bool = False

    def tell(self, now: RunState) -> None:
        """Say what changed since the look before."""
        if now.cancelled and not self.cancelling and now.state not in _ENDED:
            self.cancelling = True
            self.say("the run is being cancelled; the host ends its pods, which takes a minute")
        for planned in self.run.plan.steps:
            state = self.run.step_state(now, planned)
            if state == FAILED and now.cancelled:
                state = "CANCELLED"
            if state not in ("", PENDING, self.reported.get(planned.id)):
                self.reported[planned.id] = state
                made = self.outcomes.of(now, planned) if state == SUCCEEDED else None
                self.say(f"[{planned.id}] {state.lower()}{f': {made}' if made else ''}")
        if now.state not in _ENDED and not now.cancelled:
            for line in [*self.waiting.lines(now), *self.progress.lines(now)]:
                self.say(line)


def _look(run: SubmittedRun, say: Say, interval: float, patience: float) -> RunState:
    """Return the state of a run, once the host answers."""
    away_since: float | None = None
    while True:
        try:
            state = run.look()
        except NotOnHostError:
            msg = f"the run was deleted; what is finished is kept, run again to go on. {run.url}"
            raise RunCancelledError(msg) from None
        except HostError as error:
            away = 0.0 if away_since is None else time.monotonic() - away_since
            if not error.temporary or away > patience:
                msg = f"{error} The run goes on: {run.url}"
                raise HostError(msg, temporary=error.temporary) from None
            if away_since is None:
                away_since = time.monotonic()
                say(f"{error} Trying again; the run goes on.")
            time.sleep(interval)
        else:
            if away_since is not None:
                say("the host is back")
            return state
