"""Runs a plan on this machine: one subprocess a step, no Docker.

Each step is entered by the same argument vector as in a container.
"""

import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from fondant_spec.errors import InvalidPipelineError
from fondant_spec.pipeline.plan import Plan, PlannedStep
from fondant_spec.pipeline.run_history import StepResult
from fondant_spec.runners.subprocesses import Command, compile_steps, run_steps


def compile_plan(plan: Plan, folder: str) -> list[Command]:
    """Return the command of every step; `folder` is a local one for the runner's own files.

    Raises:
        InvalidPipelineError: a step's component has no code beside its spec.
    """
    return compile_steps(plan, partial(_compile_step, plan, folder))


def run(plan: Plan, say: Callable[[str], None] = print) -> list[StepResult]:
    """Run the steps of a plan that are not done yet, and return how each one ended.

    Raises:
        InvalidPipelineError: a step's component has no code beside its spec.
        StepFailedError: a step failed; the message holds the end of its log.
        StorageError: the base path cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="fondant-") as folder:
        compile_plan(plan, folder)
        return run_steps(plan, partial(_compile_step, plan, folder), say)


def _compile_step(plan: Plan, folder: str, planned: PlannedStep, inputs: Sequence[str]) -> Command:
    source = planned.spec.source
    if source is None:
        msg = (
            f"{planned.id}: {planned.spec.path} has no src/main.py beside it, so it can only run "
            "in a container; use another runner."
        )
        raise InvalidPipelineError(msg)
    output_path = str(Path(folder) / planned.id / "output_manifest_path")
    argv = plan.argv(planned, inputs, output_path)
    main = str(source / "src" / "main.py")
    return Command(planned.id, (sys.executable, "-u", main, *argv), output_path)
