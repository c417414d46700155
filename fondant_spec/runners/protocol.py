"""The interface of a runner: a place where plans run. docs/adding_a_runner.md has an example."""

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, Self

from fondant_spec.pipeline.graph import Pipeline
from fondant_spec.pipeline.plan import Plan
from fondant_spec.pipeline.run_history import StepResult
from fondant_spec.runners.subprocesses import Command
from fondant_spec.shown_text import tell

Settings = Mapping[str, str]
"""The settings of a pipeline by name, such as HOST; `os.environ` works, too."""


class Runner(Protocol):
    """A place where plans run. All methods but `compile` and `run` have defaults."""

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:  # noqa: ARG003 - others do
        """Add this runner's own options to a command line; all of them are optional there."""
        return

    @classmethod
    def from_settings(cls, settings: Settings, options: argparse.Namespace) -> Self:  # noqa: ARG003
        """Create the runner, by default from no settings at all, without contacting anything.

        Raises:
            InvalidConfigError: a setting is malformed.
            InvalidArgumentError: an option is malformed.
        """
        return cls()

    def check(self) -> None:
        """Check that plans can run there; called once, before a plan is made.

        Raises:
            FondantError: they cannot; the message says why and what to do.
        """
        return

    def adapt(self, pipeline: Pipeline) -> None:  # noqa: ARG002 - others do
        """Change a pipeline as the options say, before it is planned.

        Raises:
            InvalidPipelineError: an option names a step that does not exist.
        """
        return

    def check_plan(self, plan: Plan) -> None:  # noqa: ARG002 - others do
        """Check that what a plan refers to exists; called before it is run or described.

        Raises:
            FondantError: something does not exist; the message says what.
        """
        return

    def compile(self, plan: Plan) -> str | Sequence[Command]:
        """Return what would run, without running it: the text of a package, or commands.

        Raises:
            InvalidPipelineError: the plan cannot run there.
        """
        ...

    def doubts(self, plan: Plan) -> Iterable[str]:  # noqa: ARG002 - others do
        """Return warnings for the user about what in a package may not work there."""
        return ()

    def is_done(self, plan: Plan) -> bool:  # noqa: ARG002 - others do
        """Return whether it is already certain that no step of a plan has to run."""
        return False

    def run(self, plan: Plan, say: Callable[[str], None] = tell) -> list[StepResult]:
        """Run the unfinished steps; return how each ended, or [] if that is not observed.

        Args:
            plan: what to run.
            say: called with each line for the user.

        Raises:
            StepFailedError: a step failed; the message holds the end of its log, or where it is.
            FondantError: any other problem; the message says what to do.
        """
        ...
