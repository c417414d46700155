"""A plan: a pipeline with every path, argument and cache key settled. Frozen, and only data.

A runner turns it into commands or a workflow; nothing about it changes while it runs.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fondant_spec.dataset import storage
from fondant_spec.dataset.cache_key import cache_key, committed_manifest, key_parts
from fondant_spec.dataset.field_mapping import bind, evolve
from fondant_spec.dataset.manifest import MANIFEST_FILE, Field, Manifest, join_fields
from fondant_spec.errors import InvalidPipelineError
from fondant_spec.pipeline.step import Step
from fondant_spec.spec.arguments import to_argv
from fondant_spec.spec.component_spec import SPEC_FILE, ComponentSpec
from fondant_spec.spec.types import type_to_json


@dataclass(frozen=True)
class PlannedStep:
    """A step as it will run. `fields` are those of the dataset after it."""

    step: Step
    arguments: Mapping[str, Any]
    key_parts: Mapping[str, Any]
    cache_key: str
    location: str
    fields: Mapping[str, Field] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The step's id."""
        return self.step.id

    @property
    def spec(self) -> ComponentSpec:
        """The component's spec."""
        return self.step.spec


@dataclass(frozen=True)
class Plan:
    """The steps in an order in which they can run."""

    pipeline_name: str
    base_path: str
    run_id: str
    steps: tuple[PlannedStep, ...]

    def argv(self, planned: PlannedStep, inputs: Sequence[str], output_path: str) -> list[str]:
        """Return the argument vector that enters the step's component, in any runner.

        Args:
            planned: the step.
            inputs: the locations of the manifests it reads.
            output_path: the file in which the component leaves the location of its manifest.
        """
        argv = [
            "--base_path",
            self.base_path,
            "--pipeline_name",
            self.pipeline_name,
            "--step_id",
            planned.id,
            "--run_id",
            self.run_id,
            "--output_manifest_path",
            output_path,
        ]
        if inputs:
            word = inputs[0] if len(inputs) == 1 else json.dumps(list(inputs))
            argv += ["--input_manifest_path", word]
        return (
            argv + options_argv(planned.step) + to_argv(planned.spec.arguments, planned.arguments)
        )

    def committed(self) -> dict[str, Manifest]:
        """Return the manifests of the steps that need not run, by step id."""
        hits: dict[str, Manifest] = {}
        for planned in self.steps:
            inputs = [hits[name] for name in planned.step.after if name in hits]
            if planned.step.takes_committed and len(inputs) == len(planned.step.after):
                manifest = committed_manifest(planned.location, inputs)
                if manifest is not None:
                    hits[planned.id] = manifest
        return hits


def options_argv(step: Step) -> list[str]:
    """Return the part of the argument vector that speaks to the executor about this step."""
    argv: list[str] = []
    if step.spec.path is not None and step.spec.path.name != SPEC_FILE:
        argv += ["--spec_file", step.spec.path.name]
    if step.consumes:
        argv += ["--consumes", json.dumps(dict(step.consumes))]
    if step.produces:
        argv += ["--produces", json.dumps(_json_types(step.produces))]
    for name in ("max_reject_share", "rows_per_partition", "workers"):
        value = getattr(step, name)
        if value is not None:
            argv += [f"--{name}", str(value)]
    if step.retry:
        argv += ["--retry", json.dumps(list(step.retry))]
    return argv if step.cache else [*argv, "--cache", "false"]


def plan_steps(steps: Iterable[Step], name: str, base_path: str) -> tuple[PlannedStep, ...]:
    """Plan steps that come in an order in which they can run.

    Raises:
        InvalidPipelineError: a field is missing or of another type, or branches do not fit.
    """
    planned: dict[str, PlannedStep] = {}
    roots: dict[str, str] = {}
    for step in steps:
        inputs = [planned[name] for name in step.after]
        _check_inputs(step, inputs, roots)
        makes_ids = step.spec.cardinality == "explodes" or not inputs
        roots[step.id] = step.id if makes_ids else roots[inputs[0].id]
        planned[step.id] = _plan_step(step, inputs, roots, storage.join(base_path, name, step.id))
    return tuple(planned.values())


def _plan_step(
    step: Step,
    inputs: Sequence[PlannedStep],
    roots: Mapping[str, str],
    folder: str,
) -> PlannedStep:
    # Branches with one root share their rows and are read side by side; others one after another.
    branches: dict[str, dict[str, Mapping[str, Field]]] = {}
    for one in inputs:
        branches.setdefault(roots[one.id], {})[one.id] = one.fields
    for fields in branches.values() or [{}]:
        available = join_fields(fields, step.id)
        binding = bind(step.spec, available, step.consumes, step.produces, step.id)
    mappings = {"consumes": step.consumes, "produces": _json_types(step.produces)}
    parts = key_parts(step.spec, step.arguments, mappings, [one.cache_key for one in inputs])
    key = cache_key(parts)
    return PlannedStep(
        step=step,
        arguments=step.arguments,
        key_parts=parts,
        cache_key=key,
        location=storage.join(folder, key, MANIFEST_FILE),
        fields=evolve(step.spec, binding, available, storage.join(folder, key, "data")),
    )


def _check_inputs(step: Step, inputs: Sequence[PlannedStep], roots: Mapping[str, str]) -> None:
    if not inputs and not step.spec.loads:
        msg = f"{step.id}: the component consumes fields; say which step it comes `after`."
        raise InvalidPipelineError(msg)
    if inputs and step.spec.loads:
        msg = f"{step.id}: the component consumes nothing, so it cannot come after another step."
        raise InvalidPipelineError(msg)
    if len({roots[one.id] for one in inputs}) > 1 and step.spec.cardinality != "explodes":
        names = " and ".join(repr(one.id) for one in inputs)
        msg = f"{step.id}: {names} have different rows, because ids were made anew between them."
        raise InvalidPipelineError(msg)


def _json_types(produces: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value if isinstance(value, str | Mapping) else type_to_json(value)
        for name, value in produces.items()
    }
