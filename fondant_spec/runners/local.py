"""Running a plan on this machine: one subprocess per step, no Docker.

Each step is entered with the same argument vector as in a container.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fondant_spec.errors import InvalidPipelineError
from fondant_spec.pipeline.missing_paths import check_paths
from fondant_spec.pipeline.plan import Plan, PlannedStep
from fondant_spec.pipeline.run_history import StepResult
from fondant_spec.runners.protocol import Runner
from fondant_spec.runners.subprocesses import (
    Command,
    Compile,
    compile_steps,
    own_folder,
    run_steps,
)
from fondant_spec.shown_text import tell


@dataclass(frozen=True)
class LocalRunner(Runner):
    """Runs each step as a subprocess; `folder` is for the runner's own files while it runs."""

    folder: str = field(default_factory=own_folder)

    def check_plan(self, plan: Plan) -> None:
        """Check that local files and folders exist."""
        check_paths(plan)

    def compile(self, plan: Plan) -> list[Command]:
        """Return the command of every step; each component must have its code beside its spec."""
        return compile_steps(plan, self._commands(plan))

    def is_done(self, plan: Plan) -> bool:
        """Return whether the results of all steps exist."""
        return len(plan.committed()) == len(plan.steps)

    def run(self, plan: Plan, say: Callable[[str], None] = tell) -> list[StepResult]:
        """Run the unfinished steps of a plan, and return how each one ended."""
        return run_steps(plan, self._commands(plan), self.folder, say)

    def _commands(self, plan: Plan) -> Compile:
        programs = {planned.id: _program(planned) for planned in plan.steps}

        def command(planned: PlannedStep, inputs: Sequence[str]) -> Command:
            output_path = str(Path(self.folder) / planned.id / "output_manifest_path")
            argv = plan.argv(planned, inputs, output_path)
            return Command(
                planned.id, (sys.executable, "-u", programs[planned.id], *argv), output_path
            )

        return command


def _program(planned: PlannedStep) -> str:
    if planned.spec.source is None:
        msg = (
            f"{planned.id}: {planned.spec.path} has no src/main.py beside it, so it can only run "
            "in a container; use another runner."
        )
        raise InvalidPipelineError(msg)
    return str(planned.spec.source / "src" / "main.py")
