"""Runs a plan on this machine: one subprocess a step, no Docker.

Each step is entered by the same argument vector as in a container. Its log is shown as it comes,
with the step's name before each line, and kept beside the data.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fondant_spec import storage
from fondant_spec.cache import committed_manifest
from fondant_spec.errors import InvalidPipelineError, StepFailedError
from fondant_spec.manifest import Manifest
from fondant_spec.plan import Plan, PlannedStep
from fondant_spec.runs import RunLog, StepResult

_TAIL: Final = 20
_PATIENCE: Final = 10.0
"""Seconds that a step gets to end after Ctrl-C before it is killed."""


@dataclass(frozen=True)
class Command:
    """What is started for a step; `output_path` is where it leaves its manifest's location."""

    step_id: str
    argv: tuple[str, ...]
    output_path: str


def compile_plan(plan: Plan, folder: str) -> list[Command]:
    """Return the command of every step; `folder` is a local one for the runner's own files.

    Raises:
        InvalidPipelineError: a step's component has no code beside its spec.
    """
    locations = {planned.id: planned.location for planned in plan.steps}
    return [_command(plan, planned, locations, folder) for planned in plan.steps]


def run(plan: Plan, say: Callable[[str], None] = print) -> list[StepResult]:
    """Run the steps of a plan that are not done yet, and return how each one ended.

    Raises:
        StepFailedError: a step failed; the message holds the end of its log.
        StorageError: the base path cannot be written.
    """
    storage.check_writable(plan.base_path)
    log = RunLog(plan)
    manifests: dict[str, Manifest] = {}
    with tempfile.TemporaryDirectory(prefix="fondant-") as folder:
        commands = {command.step_id: command for command in compile_plan(plan, folder)}
        for planned in plan.steps:
            inputs = [manifests[name] for name in planned.step.after]
            began = time.monotonic()
            manifest = committed_manifest(planned.location, inputs) if planned.step.cache else None
            cached = manifest is not None
            if manifest is None:
                say(f"[{planned.id}] starts")
                manifest = _run_step(commands[planned.id], log, say)
            else:
                say(f"[{planned.id}] already done: {manifest.rows} rows")
            manifests[planned.id] = manifest
            log.add(StepResult(planned.id, manifest, time.monotonic() - began, cached=cached))
    return log.finish("succeeded")


def _command(
    plan: Plan,
    planned: PlannedStep,
    locations: Mapping[str, str],
    folder: str,
) -> Command:
    source = planned.spec.source
    if source is None:
        msg = (
            f"{planned.id}: {planned.spec.path} has no src/main.py beside it, so it can only run "
            "in a container; use another runner."
        )
        raise InvalidPipelineError(msg)
    output_path = str(Path(folder) / planned.id / "output_manifest_path")
    inputs = [locations[name] for name in planned.step.after]
    argv = plan.argv(planned, inputs, output_path)
    return Command(
        planned.id,
        (sys.executable, "-u", str(source / "src" / "main.py"), *argv),
        output_path,
    )


def _run_step(command: Command, log: RunLog, say: Callable[[str], None]) -> Manifest:
    lines: list[str] = []
    process = subprocess.Popen(  # noqa: S603 - the command is ours, and no shell reads it
        command.argv,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        for line in process.stdout or ():
            lines.append(line)
            say(f"[{command.step_id}] {line.rstrip()}")
        code = process.wait()
    except BaseException:
        _stop(process)
        log.finish("interrupted")
        raise
    finally:
        log.write_log(command.step_id, "".join(lines))
    if code != 0:
        log.finish("failed")
        tail = "".join(deque(lines, _TAIL)).rstrip()
        msg = f"step {command.step_id!r} failed with exit code {code}. The end of its log:\n{tail}"
        raise StepFailedError(msg)
    return Manifest.read(Path(command.output_path).read_text(encoding="utf-8"))


def _stop(process: "subprocess.Popen[str]") -> None:
    """End a step and the workers it started, gently and then not."""
    try:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        pass
    except ProcessLookupError:
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()
