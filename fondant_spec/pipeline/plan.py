"""A plan: a pipeline with every path, argument and cache key settled. Frozen, pure data.

A runner translates it into commands or a workflow; it never changes while it runs.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fondant_spec.dataset.committed import committed_manifest
from fondant_spec.dataset.layout import PipelineFolder
from fondant_spec.dataset.manifest import Field, Manifest
from fondant_spec.dataset.resolution import Resolution, StepUse, resolve_step
from fondant_spec.errors import InvalidPipelineError
from fondant_spec.pipeline.step import Step
from fondant_spec.spec.arguments import to_argv
from fondant_spec.spec.component_spec import ComponentSpec
from fondant_spec.spec.executor_options import (
    EXECUTOR_ARGUMENTS,
    STEP_OPTIONS,
)
from fondant_spec.spec.types import json_types


@dataclass(frozen=True)
class PlannedStep:
    """A step as it will run, with its resolution."""

    step: Step
    resolved: "Resolution[PlannedStep]"

    @property
    def id(self) -> str:
        """The step's id."""
        return self.step.id

    @property
    def step_id(self) -> str:
        """The step's id, under the name that datasets use."""
        return self.step.id

    @property
    def spec(self) -> ComponentSpec:
        """The component's spec."""
        return self.step.spec

    @property
    def arguments(self) -> Mapping[str, Any]:
        """All arguments of the component."""
        return self.step.arguments

    @property
    def written(self) -> list[str]:
        """The places that its arguments name for output, except by the spec's defaults."""
        declared = self.spec.arguments
        return [str(v) for name, v in self.named.items() if declared[name].output and v]

    @property
    def named(self) -> Mapping[str, Any]:
        """The arguments whose value is the user's, not a default of the spec."""
        declared = self.spec.arguments
        return {name: v for name, v in self.arguments.items() if v != declared[name].default}

    @property
    def key_parts(self) -> Mapping[str, Any]:
        """The parts of the cache key."""
        return self.resolved.key_parts

    @property
    def cache_key(self) -> str:
        """The cache key."""
        return self.resolved.cache_key

    @property
    def location(self) -> str:
        """The location of the manifest to be written."""
        return self.resolved.folder.manifest

    @property
    def root(self) -> str:
        """The origin of the ids."""
        return self.resolved.root

    @property
    def fields(self) -> Mapping[str, Field]:
        """The fields of the dataset after the step."""
        return self.resolved.fields


@dataclass(frozen=True)
class Plan:
    """The steps in execution order.

    `until` names the last step if others were cut off; `made` are paths created before it runs.
    """

    pipeline_name: str
    base_path: str
    run_id: str
    steps: tuple[PlannedStep, ...]
    until: str | None = None
    made: tuple[str, ...] = ()

    def argv(self, planned: PlannedStep, inputs: Sequence[str], output_path: str) -> list[str]:
        """Return the argument vector that runs the step's component, the same for every runner.

        Args:
            planned: the step.
            inputs: the locations of the manifests it reads.
            output_path: the file in which the component writes the location of its manifest.
        """
        run = {
            "base_path": self.base_path,
            "pipeline_name": self.pipeline_name,
            "step_id": planned.id,
            "run_id": self.run_id,
            "output_manifest_path": output_path,
        }
        if inputs:
            run["input_manifest_path"] = inputs[0] if len(inputs) == 1 else json.dumps(list(inputs))
        return [
            *to_argv(EXECUTOR_ARGUMENTS, run),
            *options_argv(planned.step),
            *to_argv(planned.spec.arguments, planned.arguments),
        ]

    def before(self, planned: PlannedStep) -> list[PlannedStep]:
        """Return all direct and indirect predecessors of a step, in execution order."""
        names = set(planned.step.after)
        for earlier in reversed(self.steps):
            if earlier.id in names:
                names.update(earlier.step.after)
        return [earlier for earlier in self.steps if earlier.id in names]

    def committed(self) -> dict[str, Manifest]:
        """Return the manifests of the steps that need not run, by step id."""
        hits: dict[str, Manifest] = {}
        for planned in self.steps:
            inputs = [hits[name] for name in planned.step.after if name in hits]
            if planned.step.takes_committed and len(inputs) == len(planned.step.after):
                manifest = committed_manifest(planned.location, inputs, planned.written)
                if manifest is not None:
                    hits[planned.id] = manifest
        return hits


def options_argv(step: Step) -> list[str]:
    """Return the part of the argument vector that sets the executor's options for this step."""
    options = {name: getattr(step, name) for name in STEP_OPTIONS}
    options |= {
        "consumes": dict(step.consumes),
        "produces": json_types(step.produces),
        "retry": list(step.retry),
        "step_retries": step.resources.retries,
        "step_backoff": step.resources.backoff,
        "step_timeout": step.resources.timeout,
    }
    if step.spec.path is not None:
        options["spec_file"] = step.spec.path.name
    defaults = {name: argument.default for name, argument in EXECUTOR_ARGUMENTS.items()}
    set_here = {name: value for name, value in options.items() if value != defaults[name]}
    return to_argv(EXECUTOR_ARGUMENTS, set_here)


def plan_steps(steps: Iterable[Step], name: str, base_path: str) -> tuple[PlannedStep, ...]:
    """Plan steps that are given in execution order.

    Raises:
        InvalidPipelineError: a field is missing or of another type, branches do not fit, or a
            partition size is set for a step that keeps the partitions of its input.
    """
    planned: dict[str, PlannedStep] = {}
    folder = PipelineFolder.of(base_path, name)
    for step in steps:
        inputs = [planned[name] for name in step.after]
        rows = step.rows_per_partition or EXECUTOR_ARGUMENTS["rows_per_partition"].default
        use = StepUse(step.id, step.spec, step.arguments, step.consumes, step.produces, rows)
        planned[step.id] = PlannedStep(step, resolve_step(use, inputs, folder))
        _check_makes_partitions(step, planned)
    return tuple(planned.values())


def _check_makes_partitions(step: Step, planned: Mapping[str, PlannedStep]) -> None:
    """Refuse a partition size for partitions that another step makes."""
    maker = step
    while not maker.spec.makes_ids:  # all its predecessors have the same rows
        maker = planned[maker.after[0]].step
    if step.rows_per_partition is None or maker is step:
        return
    option = f"--set {maker.id}.@rows_per_partition={step.rows_per_partition}"
    msg = (
        f"{step.id}: rows_per_partition has no effect here: the step takes over the partitions of "
        f"{maker.id}; set it there ({option})."
    )
    raise InvalidPipelineError(msg)
