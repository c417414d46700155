"""Runs a plan on this machine: one subprocess a step, no Docker.

Each step is entered by the same argument vector as in a container.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self

from fondant_spec.errors import InvalidPipelineError
from fondant_spec.pipeline.plan import Plan, PlannedStep
from fondant_spec.pipeline.run_history import StepResult
from fondant_spec.runners.protocol import Runner, Settings
from fondant_spec.runners.subprocesses import Command, compile_steps, own_folder, run_steps


@dataclass(frozen=True)
class LocalRunner(Runner):
    """Runs each step as a subprocess; `folder` is for the runner's own files while it runs."""

    folder: str = field(default_factory=own_folder)

    @classmethod
    def from_settings(cls, settings: Settings, options: argparse.Namespace) -> Self:  # noqa: ARG003
        """Make the runner, which needs no settings."""
        return cls()

    def compile(self, plan: Plan) -> list[Command]:
        """Return the command of every step.

        Raises:
            InvalidPipelineError: a step's component has no code beside its spec.
        """
        return compile_steps(plan, partial(self._command, plan, _programs(plan)))

    def run(self, plan: Plan, say: Callable[[str], None] = print) -> list[StepResult]:
        """Run the steps of a plan that are not done yet, and return how each one ended.

        Raises:
            InvalidPipelineError: a step's component has no code beside its spec.
            StepFailedError: a step failed; the message holds the end of its log.
            StorageError: the base path cannot be written.
        """
        return run_steps(plan, partial(self._command, plan, _programs(plan)), self.folder, say)

    def _command(
        self, plan: Plan, programs: dict[str, str], planned: PlannedStep, inputs: Sequence[str]
    ) -> Command:
        output_path = str(Path(self.folder) / planned.id / "output_manifest_path")
        argv = plan.argv(planned, inputs, output_path)
        return Command(planned.id, (sys.executable, "-u", programs[planned.id], *argv), output_path)


def _programs(plan: Plan) -> dict[str, str]:
    """Return the main.py of each step."""
    programs = {}
    for planned in plan.steps:
        source = planned.spec.source
        if source is None:
            msg = (
                f"{planned.id}: {planned.spec.path} has no src/main.py beside it, so it can only "
                "run in a container; use another runner."
            )
            raise InvalidPipelineError(msg)
        programs[planned.id] = str(source / "src" / "main.py")
    return programs
