"""Running a plan as one command a step, whether a subprocess or a container.

What a step prints is shown as it comes, with the step's name before each line, and kept beside the
data. The counts of rows among it are shown as progress.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Final

from fondant_spec.cpu import patient
from fondant_spec.dataset.base_path import check_writable
from fondant_spec.dataset.committed import check_reject_share, committed_manifest
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.dataset.reject_listing import count_reasons
from fondant_spec.errors import StepFailedError
from fondant_spec.exit_codes import EXIT_TEMPORARY
from fondant_spec.lifeline import LIFELINE
from fondant_spec.pipeline.plan import Plan, PlannedStep
from fondant_spec.pipeline.run_history import RunLog, StepResult, recorded
from fondant_spec.plain_words import duration
from fondant_spec.progress import LISTENER, Drawing
from fondant_spec.row_counts import Counts, read_counts
from fondant_spec.shown_text import shown
from fondant_spec.spec.executor_options import EXECUTOR_ARGUMENTS
from fondant_spec.spec.secret_arguments import opened

MAX_REJECT_SHARE: Final[float] = EXECUTOR_ARGUMENTS["max_reject_share"].default
_SIGNALLED: Final = 128
_PATIENCE: Final = 10.0
"""Seconds that a step gets to end after Ctrl-C before it is killed."""


@dataclass(frozen=True)
class Command:
    """What is started for a step.

    `output_path` is where the step leaves its manifest's location. `removal` is run when the step
    was interrupted, for what outlives the process.
    """

    step_id: str
    argv: tuple[str, ...]
    output_path: str
    removal: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)


Compile = Callable[[PlannedStep, Sequence[str]], Command]
"""Makes the command of a step, given the locations of the manifests that it reads."""


def compile_steps(plan: Plan, compile_step: Compile) -> list[Command]:
    """Return the commands of all steps, if each leaves its result where it is planned."""
    locations = {planned.id: planned.location for planned in plan.steps}
    return [
        compile_step(planned, [locations[name] for name in planned.step.after])
        for planned in plan.steps
    ]


def own_folder() -> str:
    """Return a path for a runner's own files, which `run_steps` makes and removes."""
    return str(Path(tempfile.gettempdir()) / f"fondant-{uuid.uuid4().hex}")


def run_steps(
    plan: Plan, compile_step: Compile, folder: str, say: Callable[[str], None]
) -> list[StepResult]:
    """Run the steps of a plan that are not done yet, and return how each one ended.

    Args:
        plan: what to run.
        compile_step: makes the command of a step.
        folder: holds the files that the steps leave for the runner.
        say: is given each line for the user.

    Raises:
        StepFailedError: a step failed; the message says where its log is.
        StorageError: the base path cannot be written.
        InvalidArgumentError: an argument names a secret that is not there.
    """
    _learn_secrets(plan)
    check_writable(plan.base_path)
    Path(folder).mkdir(mode=0o700, parents=True)  # not one that is there: it is removed at the end
    manifests: dict[str, Manifest] = {}
    try:
        with recorded(plan) as log:
            for n, planned in enumerate(plan.steps, start=1):
                number = f"{n}/{len(plan.steps)}"
                log.begin(planned.id)
                result = _step_result(number, planned, manifests, compile_step, log, say)
                manifests[planned.id] = result.manifest
                log.add(result)
        return log.results
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _learn_secrets(plan: Plan) -> None:
    """Note the secrets that the steps are given, so that none is shown, whatever a step prints."""
    for planned in plan.steps:
        for name, value in planned.arguments.items():
            if planned.spec.arguments[name].by_reference:
                opened(f"{planned.id}.{name}", value)


def _step_result(
    number: str,
    planned: PlannedStep,
    manifests: Mapping[str, Manifest],
    compile_step: Compile,
    log: RunLog,
    say: Callable[[str], None],
) -> StepResult:
    inputs = [manifests[name] for name in planned.step.after]
    title = f"[{number}] {planned.id}"
    began = time.monotonic()
    taken = planned.step.takes_committed
    manifest = committed_manifest(planned.location, inputs, planned.written) if taken else None
    if manifest is not None:
        share = planned.step.max_reject_share
        check_reject_share(manifest, MAX_REJECT_SHARE if share is None else share)
        say(f"{title} already done: {manifest.rows:,} rows")
        return StepResult(planned.id, manifest, time.monotonic() - began, cached=True)
    with Drawing(title, say, sys.stdout) as drawing:
        if not drawing.live:
            say(f"{title} starts")
        command = compile_step(planned, [one.location for one in inputs])
        manifest = _run_step(command, log, say, drawing.show)
    seconds = time.monotonic() - began
    lost = count_reasons(manifest.rejects_location).describe()
    told = f"{manifest.rows:,} rows in {duration(seconds)}"
    say(f"{title}: {told}{f', {lost}' if lost else ''}")
    return StepResult(planned.id, manifest, seconds, cached=False)


def _run_step(
    command: Command,
    log: RunLog,
    say: Callable[[str], None],
    show: Callable[[Counts], None],
) -> Manifest:
    for note in command.notes:
        say(f"[{command.step_id}] {note}")
    Path(command.output_path).parent.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    process = subprocess.Popen(  # noqa: S603 - the command is ours, and no shell reads it
        command.argv,
        stdin=subprocess.PIPE,  # the step ends with whoever holds the other end: this process
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        env={**os.environ, **patient(os.environ), LISTENER: "1", LIFELINE: "stdin"},
    )
    rest = Thread(target=_end_the_rest, args=[process])
    rest.start()
    try:
        for whole in process.stdout or ():
            line, counts = read_counts(whole)
            if counts is not None:
                show(counts)
            if line:
                lines.append(shown(line))
                say(f"[{command.step_id}] {lines[-1].rstrip()}")
        code = process.wait()
    except BaseException:
        _stop(process, command.removal)
        raise
    finally:
        rest.join()
        kept = log.write_log(command.step_id, "".join(lines))
    output = Path(command.output_path)
    if code == 0 and output.exists():
        return Manifest.read(output.read_text(encoding="utf-8"))
    how = _how(command.step_id, code) if code else "left no manifest; does main.py execute()?"
    msg = f"step {command.step_id!r} {how} Its log is above, and kept as {kept}"
    raise StepFailedError(msg, temporary=code == EXIT_TEMPORARY)


def _how(step_id: str, code: int) -> str:
    """Return how a step's process failed; of one in a container, 128 is added to the signal."""
    number = -code if code < 0 else code - _SIGNALLED
    if number == signal.SIGKILL:
        more = "" if code < 0 else f", or give it more with `--set {step_id}.@memory=...`"
        return (
            "was killed, most likely because memory ran out: have fewer workers "
            f"(`--set {step_id}.@workers=1`) or smaller batches{more}."
        )
    for one in signal.Signals:
        if one == number:
            return f"was ended by {one.name}."
    return f"failed with exit code {code}."


def _end_the_rest(process: "subprocess.Popen[str]") -> None:
    """End what a step leaves behind, once it has ended itself: it may hold the output open."""
    process.wait()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _stop(process: "subprocess.Popen[str]", removal: Sequence[str]) -> None:
    """End a step and the workers it started, gently and then not."""
    try:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(_PATIENCE)
    except (subprocess.TimeoutExpired, ProcessLookupError, KeyboardInterrupt):
        pass  # a second Ctrl-C only hurries what follows
    if removal:
        subprocess.run(removal, check=False, capture_output=True)  # noqa: S603 - ours, no shell
    process.kill()
