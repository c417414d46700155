"""Compiles a plan to a package of Kubeflow Pipelines: YAML of the pipeline and its Kubernetes side.

Each step is a container component that is given its arguments as typed parameters, which the form
of the host shows, and leaves the location of its manifest as an output parameter.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import yaml
from google.protobuf import json_format

from fondant_spec.errors import InvalidPipelineError, MissingDependencyError
from fondant_spec.pipeline.plan import Plan, PlannedStep, options_argv
from fondant_spec.runners.docker import COMMAND
from fondant_spec.runners.image_lock import image_of
from fondant_spec.runners.kubeflow.cluster import Cluster
from fondant_spec.runners.kubeflow.form import BASE_PATH, NOTE, Field, fields_of, literals
from fondant_spec.runners.kubeflow.package import (
    commit_name,
    package_text,
    slices_name,
    task_name,
)
from fondant_spec.runners.kubeflow.plan_check import check_plan

try:
    from kfp import components, dsl

    from fondant_spec.runners.kubeflow.task_settings import configure
except ImportError as error:
    message = f"Kubeflow needs the extra `kubeflow`: pip install 'fondant-spec[kubeflow]' ({error})"
    raise MissingDependencyError(message) from None

OUTPUT: Final = "output_manifest_path"
INPUT: Final = "input_manifest_path"
SLICE: Final = "slice"
SLICES: Final = "slice_folders"
METRICS: Final = "metrics"
REPORT: Final = "report"

_OF_THE_RUN: Final = {"run_id": dsl.PIPELINE_JOB_ID_PLACEHOLDER}
"""What each run of a package has of its own, were it cloned, or started by a schedule.

It must be the whole value of a task's input, or it is not filled in."""

_PYTHON_TYPES: Final[Mapping[str, type]] = {
    "String": str,
    "Integer": int,
    "Float": float,
    "Boolean": bool,
    "JsonArray": list,
    "JsonObject": dict,
}

Fields = Mapping[str, tuple[Field, ...]]
"""The fields of the form, by step."""


def compile_plan(plan: Plan, cluster: Cluster) -> str:
    """Return the package of a plan, as text.

    Raises:
        InvalidPipelineError: the base path or an argument is a path, or names a secret, that the
            cluster cannot see, or is a text that would not arrive; a step that cannot be spread is;
            or two steps have the same name there.
    """
    check_plan(plan, cluster)
    fields = fields_of(plan)
    described = _pipeline(plan, cluster, fields)
    pipeline = json_format.MessageToDict(described.pipeline_spec)
    parameters = pipeline["root"]["inputDefinitions"]["parameters"]
    # The SDK knows of no choices. The host makes drop-downs of them, and refuses other values.
    for name, choices in literals(fields).items():
        parameters[name]["literals"] = choices
    return package_text(pipeline, json_format.MessageToDict(described.platform_spec))


def _pipeline(plan: Plan, cluster: Cluster, fields: Fields) -> Any:
    form = [_parameter(BASE_PATH, "String", plan.base_path)]
    form += [_parameter(one.name, one.type, one.default) for of in fields.values() for one in of]

    # Kubeflow allows no pipeline to be described while another one is.
    spread = {
        p.id: _spread(plan, p, fields[p.id], cluster) for p in plan.steps if p.step.fan_out > 1
    }

    def pipeline(*values: Any) -> None:
        given = dict(zip((one.name for one in form), values, strict=True))
        outputs: dict[str, Any] = {}
        for planned in plan.steps:
            own = fields[planned.id]
            words = {BASE_PATH: given[BASE_PATH]}
            words |= {_input_name(i): outputs[name] for i, name in enumerate(planned.step.after)}
            words |= {one.input: given[one.name] for one in own}
            if planned.id in spread:
                task = spread[planned.id](**words)
                task.set_display_name(planned.id)
                task.set_caching_options(False)
                outputs[planned.id] = task.output
            else:
                component = _component(plan, planned, own, task_name(planned.id))
                task = component(**words, **_OF_THE_RUN)
                configure(task, planned, cluster, computes=True)
                outputs[planned.id] = task.outputs[OUTPUT]

    steps = " -> ".join(planned.id for planned in plan.steps)
    name = task_name(plan.pipeline_name)
    return _described(pipeline, form, name, description=f"{steps}. {NOTE}")


def _parameter(name: str, kfp_type: str, default: Any = inspect.Parameter.empty) -> Any:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Parameter(name, kind, default=default, annotation=_PYTHON_TYPES[kfp_type])


def _described(
    body: Callable[..., Any],
    inputs: list[inspect.Parameter],
    name: str,
    *,
    output: type | None = None,
    description: str | None = None,
) -> Any:
    """Return a function as a pipeline of Kubeflow, which reads the inputs off its signature."""
    vars(body)["__signature__"] = inspect.Signature(inputs, return_annotation=output)
    return dsl.pipeline(name=name, description=description)(body)


def _spread(plan: Plan, planned: PlannedStep, fields: Iterable[Field], cluster: Cluster) -> Any:
    """Return a step as a pipeline of its own: slices side by side, then one task that commits.

    The committing task is told where the slices worked, and finds all partitions done there.
    Inside a pipeline of its own, because the local runner of kfp 2.17 loses what comes into a loop
    from a task beside it.
    """
    count = planned.step.fan_out
    if planned.spec.loads or planned.spec.writes:
        kind = "loads" if planned.spec.loads else "writes"
        msg = f"{planned.id}: a component that {kind} reads one stream, so fan_out must be 1."
        raise InvalidPipelineError(msg)
    types = _inputs(planned, fields)
    inputs = {name: type_ for name, type_ in types.items() if name not in _OF_THE_RUN}

    def spread(*values: Any) -> Any:
        words = dict(zip(inputs, values, strict=True))
        items, name = [f"{i}/{count}" for i in range(count)], slices_name(planned.id)
        with dsl.ParallelFor(items, name=f"{planned.id} slices", parallelism=count) as item:
            component = _component(plan, planned, fields, name, SLICE)
            task = component(**words, **_OF_THE_RUN, slice=item)
            configure(task, planned, cluster, computes=True)
            task.set_display_name(f"{planned.id} slice")
        done = {SLICES: dsl.Collected(task.outputs[OUTPUT])}
        commit = _component(plan, planned, fields, commit_name(planned.id), SLICES)
        task = commit(**words, **_OF_THE_RUN, **done)
        configure(task, planned, cluster, computes=False)
        task.set_display_name(f"{planned.id} commit")
        return task.outputs[OUTPUT]

    parameters = [_parameter(name, kfp_type) for name, kfp_type in inputs.items()]
    return _described(spread, parameters, task_name(planned.id), output=str)


def _component(
    plan: Plan, planned: PlannedStep, fields: Iterable[Field], name: str, extra: str = ""
) -> Any:
    """Return the component of a step; `extra` is SLICE for one slice, or SLICES after them."""
    inputs = _inputs(planned, fields)
    argv: list[Any] = ["--pipeline_name", plan.pipeline_name, "--step_id", planned.id]
    for input_name in inputs:
        option = INPUT if input_name.startswith(INPUT) else input_name
        argv += [f"--{option}", {"inputValue": input_name}]
    outputs = [{"name": OUTPUT, "type": "String"}]
    argv += [*options_argv(planned.step), f"--{OUTPUT}", {"outputPath": OUTPUT}]
    if extra:
        inputs[extra] = "String" if extra == SLICE else "JsonArray"
        argv += [f"--{extra}", {"inputValue": extra}]
    if extra != SLICE:  # what a slice has done is told by the task that commits
        outputs.append({"name": METRICS, "type": "Metrics"})
        argv += ["--executor_input", {"executorInput": None}]
    if extra != SLICE and planned is plan.steps[-1]:
        outputs.append({"name": REPORT, "type": "HTML"})
        argv += ["--report_path", {"outputPath": REPORT}]
    text = {
        "name": name,
        "inputs": [{"name": n, "type": t} for n, t in inputs.items()],
        "outputs": outputs,
        "implementation": {
            "container": {
                "image": image_of(planned.spec).anywhere,
                "command": list(COMMAND),
                "args": argv,
            }
        },
    }
    return components.load_component_from_text(yaml.safe_dump(text))


def _inputs(planned: PlannedStep, fields: Iterable[Field]) -> dict[str, str]:
    """Return the inputs of a step's component by name, and their types in Kubeflow's words."""
    inputs = {BASE_PATH: "String", "run_id": "String"}
    inputs |= {_input_name(i): "String" for i in range(len(planned.step.after))}
    return inputs | {one.input: one.type for one in fields}


def _input_name(index: int) -> str:
    return INPUT if index == 0 else f"{INPUT}_{index + 1}"
