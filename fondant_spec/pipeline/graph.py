"""Describing a pipeline: steps, their arguments, and their dependencies. Nothing runs here.

For example:

    pipeline = Pipeline("stable-diffusion", base_path="./artifacts")
    seeds = pipeline.add("components/load_from_hub", arguments={"dataset_name": "user/seeds"})
    vectors = pipeline.add("components/image_embedding", after=seeds)
    plan = pipeline.plan()
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Final, Unpack

from fondant_spec.dataset import storage
from fondant_spec.errors import (
    InvalidArgumentError,
    InvalidConfigError,
    InvalidPipelineError,
    did_you_mean,
)
from fondant_spec.pipeline.plan import Plan, plan_steps
from fondant_spec.pipeline.step import (
    Step,
    StepOptions,
    assigned,
    declared,
    settled,
    with_options,
)
from fondant_spec.spec.component_spec import ComponentSpec
from fondant_spec.spec.resources import Resources

__all__ = ["Pipeline", "Resources", "Step", "StepOptions", "new_run_id"]

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_NONE: Final[Mapping[str, Any]] = {}


class Pipeline:
    """A directed acyclic graph of steps; their data is written below `base_path`.

    Raises:
        InvalidPipelineError: the name is malformed.
        InvalidConfigError: the base path is empty.
    """

    def __init__(self, name: str, base_path: str | Path) -> None:
        _check_name(name, "pipeline name")
        if not str(base_path).strip():
            msg = "the base path (BASE_PATH, --base-path) is empty; name a folder or a URL."
            raise InvalidConfigError(msg)
        self.name = name
        self.base_path = storage.normalize(base_path)
        self._steps: dict[str, Step] = {}
        self._until: str | None = None
        self._made: list[str] = []

    @property
    def steps(self) -> Mapping[str, Step]:
        """The steps by id, in the order they were added."""
        return dict(self._steps)

    def add(
        self,
        component: str | Path | ComponentSpec,
        *,
        after: "Step | str | Sequence[Step | str]" = (),
        step_id: str | None = None,
        arguments: Mapping[str, Any] = _NONE,
        **options: Unpack[StepOptions],
    ) -> Step:
        """Add a step, and return it for use in `after`.

        Args:
            component: the YAML spec, or the folder that contains it.
            after: the step or steps that it reads from.
            step_id: a unique name; by default the component's id, numbered from the second use.
            arguments: of the component, by name; omitted ones have the spec's defaults.
            options: of the step: see `StepOptions`.

        Raises:
            InvalidPipelineError: the id is taken or malformed, or an option is unknown or of
                another type.
            InvalidArgumentError: an argument is unknown, missing or of the wrong type.
            InvalidComponentSpecError: the spec cannot be read.
        """
        if not isinstance(component, ComponentSpec):
            component = ComponentSpec.from_file(component)
        step_id = step_id or self._free_id(component.component_id)
        _check_name(step_id, "step id")
        if step_id in self._steps:
            msg = f"there are two steps {step_id!r}; give one of them another step_id."
            raise InvalidPipelineError(msg)
        before = [after] if isinstance(after, Step | str) else after
        names = tuple(one.id if isinstance(one, Step) else one for one in before)
        step = with_options(Step(step_id, component, arguments, names), options)
        self._steps[step_id] = settled(step)
        return self._steps[step_id]

    def expect(self, *paths: str | Path) -> None:
        """Declare paths that will exist when the pipeline runs, so that a dry run accepts them."""
        self._made += map(str, paths)

    def override(self, step_id: str, name: str, text: str) -> None:
        """Set an argument of a step, or an `@option`, from a word of a command line.

        Raises:
            InvalidPipelineError: there is no such step.
            InvalidArgumentError: there is no such argument, or the word does not parse as its type.
        """
        argument = declared(self._step(step_id), name)
        try:
            value = argument.from_text(text)
        except InvalidArgumentError as error:
            msg = f"{step_id}: {error}"
            raise InvalidArgumentError(msg) from None
        self.assign(step_id, name, value)

    def assign(self, step_id: str, name: str, value: Any) -> None:
        """Set an argument of a step, or an option such as `@workers`, to a value.

        Raises:
            InvalidPipelineError: there is no such step.
            InvalidArgumentError: there is no such argument, or the value is not of its type.
        """
        self._steps[step_id] = assigned(self._step(step_id), name, value)

    def unset(self, step_id: str, name: str) -> None:
        """Reset an argument of a step, or an `@option`, to its default.

        Raises:
            InvalidPipelineError: there is no such step.
            InvalidArgumentError: there is no such argument, or it has no default.
        """
        argument = declared(self._step(step_id), name)
        if argument.required:
            msg = f"{step_id}: argument {name!r} has no default; give it a value."
            raise InvalidArgumentError(msg)
        self.assign(step_id, name, argument.default)

    def end_with(self, step_id: str) -> None:
        """Keep only a step and its direct and indirect predecessors.

        Raises:
            InvalidPipelineError: there is no such step, or the steps do not fit together.
        """
        kept = {self._step(step_id).id}
        for step in reversed(self._sorted()):
            if step.id in kept:
                kept.update(step.after)
        self._steps = {name: step for name, step in self._steps.items() if name in kept}
        self._until = step_id

    def change(
        self,
        step_id: str,
        *,
        arguments: Mapping[str, Any] = _NONE,
        **options: Unpack[StepOptions],
    ) -> None:
        """Change arguments and options of a step, named as in `add`; all others stay as they are.

        Raises:
            InvalidPipelineError: there is no such step, or an option is unknown or of another type.
            InvalidArgumentError: an argument is unknown or of the wrong type.
        """
        step = with_options(self._step(step_id), options)
        if arguments:
            step = settled(replace(step, arguments={**step.arguments, **arguments}))
        self._steps[step_id] = step

    def plan(self, run_id: str | None = None) -> Plan:
        """Settle every path, argument and cache key, and check that the steps fit together.

        Raises:
            InvalidPipelineError: no steps, a cycle, an unknown step, or a field that is missing or
                of another type.
        """
        if not self._steps:
            msg = f"pipeline {self.name!r} has no steps; add some."
            raise InvalidPipelineError(msg)
        return Plan(
            pipeline_name=self.name,
            base_path=self.base_path,
            run_id=run_id or new_run_id(),
            steps=plan_steps(self._sorted(), self.name, self.base_path),
            until=self._until,
            made=tuple(self._made),
        )

    def _step(self, step_id: str) -> Step:
        step = self._steps.get(step_id)
        if step is None:
            hint = did_you_mean(step_id, list(self._steps))
            msg = f"there is no step {step_id!r}{hint} Steps: {', '.join(self._steps)}."
            raise InvalidPipelineError(msg)
        return step

    def _sorted(self) -> list[Step]:
        for step in self._steps.values():
            for name in step.after:
                if name not in self._steps:
                    hint = did_you_mean(name, list(self._steps))
                    msg = f"{step.id}: comes after {name!r}, but there is no such step{hint}"
                    raise InvalidPipelineError(msg)
        sorter = TopologicalSorter({step.id: step.after for step in self._steps.values()})
        try:
            return [self._steps[step_id] for step_id in sorter.static_order()]
        except CycleError as error:
            circle = " -> ".join(reversed(error.args[1]))
            msg = f"the steps go round in a circle: {circle}; take one of the `after` away."
            raise InvalidPipelineError(msg) from None

    def _free_id(self, component_id: str) -> str:
        number, candidate = 1, component_id
        while candidate in self._steps:
            number += 1
            candidate = f"{component_id}_{number}"
        return candidate


def new_run_id() -> str:
    """Return a name for a run: its start time and a few random digits; names sort by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def _check_name(name: str, what: str) -> None:
    if not _NAME.fullmatch(name):
        msg = (
            f"the {what} {name!r} must begin with a letter and be made of lower-case letters, "
            "digits, `-` and `_`, 63 at most."
        )
        raise InvalidPipelineError(msg)
