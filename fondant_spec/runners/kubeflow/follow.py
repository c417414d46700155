"""Following a run on a host until it ends."""

import time
from collections.abc import Callable, Mapping
from typing import Final

from fondant_spec.errors import HostError, StepFailedError
from fondant_spec.runners.kubeflow.host import Host, RunState
from fondant_spec.runners.kubeflow.package import task_name
from fondant_spec.shown_text import tell

PATIENCE: Final = 900.0
"""Seconds that a host may be away before we give up on following the run."""

_ENDED: Final = frozenset({"SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"})


def follow(
    host: Host,
    run_id: str,
    steps: tuple[str, ...],
    say: Callable[[str], None] = tell,
    *,
    interval: float,
    patience: float = PATIENCE,
) -> None:
    """Tell each change of a step's state until the run ends.

    Args:
        host: where it runs.
        run_id: the host's own name for the run.
        steps: the ids of the steps to report on.
        say: is given each line.
        interval: seconds between two looks.
        patience: seconds that the host may be away.

    Raises:
        StepFailedError: the run failed or was cancelled.
        HostError: the host stays away, or no longer lets us look.
    """
    reported: dict[str, str] = {}
    while True:
        now = _look(host, run_id, say, interval, patience)
        for step, state in _states(now, steps).items():
            if reported.get(step) != state:
                say(f"[{step}] {state.lower()}")
                reported[step] = state
        if now.state in _ENDED:
            break
        time.sleep(interval)
    _conclude(now, host.run_url(run_id))


def _look(
    host: Host, run_id: str, say: Callable[[str], None], interval: float, patience: float
) -> RunState:
    """Return the state of a run, once the host answers."""
    away_since: float | None = None
    while True:
        try:
            state = host.state(run_id)
        except HostError as error:
            away = 0.0 if away_since is None else time.monotonic() - away_since
            if not error.temporary or away > patience:
                msg = f"{error} The run goes on: {host.run_url(run_id)}"
                raise HostError(msg) from None
            if away_since is None:
                away_since = time.monotonic()
                say(f"{error} Trying again; the run goes on.")
            time.sleep(interval)
        else:
            if away_since is not None:
                say("the host is back")
            return state


def _states(now: RunState, steps: tuple[str, ...]) -> dict[str, str]:
    """Return the states of the steps alone: a host also lists its own drivers."""
    states = {}
    for step in steps:
        state = now.steps.get(step) or now.steps.get(task_name(step))
        if state:
            states[step] = state
    return states


def _conclude(now: RunState, url: str) -> None:
    if now.state == "FAILED":
        raise StepFailedError(_failure(now.errors, now.message, url))
    if now.state == "CANCELED":
        msg = f"the run was cancelled: {url}"
        raise StepFailedError(msg)


def _failure(errors: Mapping[str, str], message: str, url: str) -> str:
    reasons = [f"{step}: {text}" for step, text in errors.items() if text]
    reported = "; ".join(reasons) or message or "the host gives no reason"
    return f"the run failed: {reported}. Its logs: {url}"
