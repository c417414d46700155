"""What a runner is: a place where a plan can be run. docs/adding_a_runner.md shows one whole."""

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, Self

from fondant_spec.pipeline.graph import Pipeline
from fondant_spec.pipeline.plan import Plan
from fondant_spec.pipeline.run_history import StepResult
from fondant_spec.runners.subprocesses import Command
from fondant_spec.shown_text import tell

Settings = Mapping[str, str]
"""The settings of a pipeline by name, such as HOST; the environment is one, too."""


class Runner(Protocol):
    """A place where plans run. All but `compile` and `run` is here for who needs no more."""

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:  # noqa: ARG003 - others do
        """Add the options of this runner alone to a command line; they may be left out there."""
        return

    @classmethod
    def from_settings(cls, settings: Settings, options: argparse.Namespace) -> Self:  # noqa: ARG003
        """Make the runner, by default of no settings at all; nothing is reached for yet.

        Raises:
            InvalidConfigError: a setting is malformed.
            InvalidArgumentError: an option is.
        """
        return cls()

    def check(self) -> None:
        """Make sure that plans can run there; called once, before a plan is made.

        Raises:
            FondantError: they cannot; the message says why and what to do.
        """
        return

    def adapt(self, pipeline: Pipeline) -> None:  # noqa: ARG002 - others do
        """Change a pipeline as the options ask, before it is planned.

        Raises:
            InvalidPipelineError: an option names a step that is not there.
        """
        return

    def check_plan(self, plan: Plan) -> None:  # noqa: ARG002 - others do
        """Make sure that what a plan names is there; called before it is run or described.

        Raises:
            FondantError: it is not; the message says what.
        """
        return

    def compile(self, plan: Plan) -> str | Sequence[Command]:
        """Return what would be run, and run nothing: the text of a package, or commands.

        Raises:
            InvalidPipelineError: the plan cannot run there.
        """
        ...

    def doubts(self, plan: Plan) -> Iterable[str]:  # noqa: ARG002 - others do
        """Return lines for the user on what in a package may not hold there."""
        return ()

    def is_done(self, plan: Plan) -> bool:  # noqa: ARG002 - others do
        """Return whether it is known at once that no step of a plan has to run."""
        return False

    def run(self, plan: Plan, say: Callable[[str], None] = tell) -> list[StepResult]:
        """Run the steps that are not done yet; return how each ended, or [] if that is not seen.

        Args:
            plan: what to run.
            say: is given each line for the user.

        Raises:
            StepFailedError: a step failed; the message holds the end of its log, or where it is.
            FondantError: another obstacle; the message says what to do.
        """
        ...
