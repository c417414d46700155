"""Compiles a plan to a package of Kubeflow Pipelines: YAML of the pipeline and its Kubernetes side.

Each step is a container component that is given its arguments as typed parameters, which the form
of the host shows, and leaves the location of its manifest as an output parameter. Parameters that
are None are left out, since hosts before 2.17 cannot leave out an optional one.
"""

import inspect
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from fondant_spec.dataset import storage
from fondant_spec.errors import InvalidPipelineError, MissingDependencyError
from fondant_spec.pipeline.plan import Plan, PlannedStep, options_argv
from fondant_spec.runners.docker import COMMAND
from fondant_spec.runners.image_lock import image_of
from fondant_spec.runners.kubeflow.cluster import Cluster
from fondant_spec.runners.kubeflow.package import slices_name, task_name
from fondant_spec.spec.secret_arguments import file_of, variable_of

try:
    from kfp import compiler, components, dsl, kubernetes
except ImportError as error:
    message = f"Kubeflow needs the extra `kubeflow`: pip install 'fondant-spec[kubeflow]' ({error})"
    raise MissingDependencyError(message) from None

OUTPUT: Final = "output_manifest_path"
INPUT: Final = "input_manifest_path"
SLICE: Final = "slice"
SLICES: Final = "slice_folders"

_OF_THE_RUN: Final = {"run_id": dsl.PIPELINE_JOB_ID_PLACEHOLDER}
"""What each run of a package has of its own, were it cloned, or started by a schedule.

It must be the whole value of a task's input, or it is not filled in."""

_KFP_TYPES: Final = {
    "str": "String",
    "int": "Integer",
    "float": "Float",
    "bool": "Boolean",
    "list": "JsonArray",
    "tuple": "JsonArray",
    "set": "JsonArray",
    "dict": "JsonObject",
}
_PYTHON_TYPES: Final[Mapping[str, type]] = {
    "String": str,
    "Integer": int,
    "Float": float,
    "Boolean": bool,
    "JsonArray": list,
    "JsonObject": dict,
}


def compile_plan(plan: Plan, cluster: Cluster) -> str:
    """Return the package of a plan, as text.

    Raises:
        InvalidPipelineError: the base path or an argument is a path, or names a secret, that the
            cluster cannot see; a step that cannot be spread is; or two steps have the same name
            there.
    """
    _check_paths(plan, cluster)
    _check_references(plan, cluster)
    with tempfile.TemporaryDirectory(prefix="fondant-") as folder:
        file = Path(folder) / "package.yaml"
        compiler.Compiler().compile(_pipeline(plan, cluster), str(file))
        return file.read_text(encoding="utf-8")


def _pipeline(plan: Plan, cluster: Cluster) -> Any:
    form = _form(plan)
    if len({task_name(step.id) for step in plan.steps}) < len(plan.steps):
        msg = "two steps have ids that differ in `-` and `_` only, which Kubeflow takes for equal."
        raise InvalidPipelineError(msg)

    # Kubeflow allows no pipeline to be described while another one is.
    spread = {p.id: _spread(plan, p, cluster) for p in plan.steps if p.step.fan_out > 1}

    def pipeline(*values: Any) -> None:
        given = dict(zip(form, values, strict=True))
        outputs: dict[str, Any] = {}
        for planned in plan.steps:
            words = _words(planned, given, outputs)
            if planned.id in spread:
                task = spread[planned.id](**words)
                task.set_display_name(planned.id)
                task.set_caching_options(False)
                outputs[planned.id] = task.output
            else:
                task = _component(plan, planned, task_name(planned.id))(**words, **_OF_THE_RUN)
                _configure(task, planned, cluster, computes=True)
                outputs[planned.id] = task.outputs[OUTPUT]

    return _described(pipeline, list(form.values()), task_name(plan.pipeline_name))


def _form(plan: Plan) -> dict[str, inspect.Parameter]:
    """Return what the form of the host shows: base path, and each step's arguments."""
    form = [_parameter("base_path", "String", plan.base_path)]
    for planned in plan.steps:
        types = _argument_types(planned)
        form += [
            _parameter(_form_name(planned.id, name), types[name], planned.arguments[name])
            for name in types
        ]
    return {parameter.name: parameter for parameter in form}


def _form_name(step_id: str, argument: str) -> str:
    return f"{step_id.replace('-', '_')}__{argument}"


def _parameter(name: str, kfp_type: str, default: Any = inspect.Parameter.empty) -> Any:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Parameter(name, kind, default=default, annotation=_PYTHON_TYPES[kfp_type])


def _described(
    body: Callable[..., Any], inputs: list[inspect.Parameter], name: str, output: type | None = None
) -> Any:
    """Return a function as a pipeline of Kubeflow, which reads the inputs off its signature."""
    vars(body)["__signature__"] = inspect.Signature(inputs, return_annotation=output)
    return dsl.pipeline(name=name)(body)


def _words(
    planned: PlannedStep, given: Mapping[str, Any], outputs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a step's inputs are bound to: what the form gives, and outputs of other steps."""
    words = {"base_path": given["base_path"]}
    words |= {_input_name(i): outputs[name] for i, name in enumerate(planned.step.after)}
    words |= {name: given[_form_name(planned.id, name)] for name in _argument_types(planned)}
    return words


def _spread(plan: Plan, planned: PlannedStep, cluster: Cluster) -> Any:
    """Return a step as a pipeline of its own: slices side by side, then one task that commits.

    The committing task finds all partitions done. Inside a pipeline of its own, because the local
    runner of kfp 2.17 loses what comes into a loop from a task beside it.
    """
    count = planned.step.fan_out
    if planned.spec.loads:
        msg = f"{planned.id}: a component that loads reads one stream, so fan_out must be 1."
        raise InvalidPipelineError(msg)
    inputs = {name: type_ for name, type_ in _inputs(planned).items() if name not in _OF_THE_RUN}

    def spread(*values: Any) -> Any:
        words = dict(zip(inputs, values, strict=True))
        with dsl.ParallelFor([f"{i}/{count}" for i in range(count)], parallelism=count) as item:
            component = _component(plan, planned, slices_name(planned.id), SLICE)
            task = component(**words, **_OF_THE_RUN, slice=item)
            _configure(task, planned, cluster, computes=True)
            task.set_display_name(f"{planned.id} slice")
        done = {SLICES: dsl.Collected(task.outputs[OUTPUT])}
        commit = _component(plan, planned, f"{task_name(planned.id)}-commit", SLICES)
        task = commit(**words, **_OF_THE_RUN, **done)
        _configure(task, planned, cluster, computes=False)
        task.set_display_name(f"{planned.id} commit")
        return task.outputs[OUTPUT]

    parameters = [_parameter(name, kfp_type) for name, kfp_type in inputs.items()]
    return _described(spread, parameters, task_name(planned.id), str)


def _component(plan: Plan, planned: PlannedStep, name: str, extra: str = "") -> Any:
    """Return the component of a step; `extra` is SLICE for one slice, or SLICES after them."""
    inputs = _inputs(planned)
    argv: list[Any] = ["--pipeline_name", plan.pipeline_name, "--step_id", planned.id]
    for input_name in inputs:
        option = INPUT if input_name.startswith(INPUT) else input_name
        argv += [f"--{option}", {"inputValue": input_name}]
    if extra == SLICE:
        argv += ["--slice", {"inputValue": SLICE}]
    if extra:
        inputs[extra] = "String" if extra == SLICE else "JsonArray"
    argv += [*options_argv(planned.step), f"--{OUTPUT}", {"outputPath": OUTPUT}]
    text = {
        "name": name,
        "inputs": [{"name": n, "type": t} for n, t in inputs.items()],
        "outputs": [{"name": OUTPUT, "type": "String"}],
        "implementation": {
            "container": {
                "image": image_of(planned.spec).anywhere,
                "command": list(COMMAND),
                "args": argv,
            }
        },
    }
    return components.load_component_from_text(yaml.safe_dump(text))


def _inputs(planned: PlannedStep) -> dict[str, str]:
    """Return the inputs of a step's component by name, and their types in Kubeflow's words."""
    inputs = {"base_path": "String", "run_id": "String"}
    inputs |= {_input_name(i): "String" for i in range(len(planned.step.after))}
    return inputs | _argument_types(planned)


def _argument_types(planned: PlannedStep) -> dict[str, str]:
    """Return the arguments that have a value, and their types in Kubeflow's words."""
    declared = planned.spec.arguments
    return {n: _KFP_TYPES[declared[n].type] for n, v in planned.arguments.items() if v is not None}


def _input_name(index: int) -> str:
    return INPUT if index == 0 else f"{INPUT}_{index + 1}"


def _configure(task: Any, planned: PlannedStep, cluster: Cluster, *, computes: bool) -> None:
    """Give a task what it wants of the cluster; one that only commits wants no device."""
    task.set_display_name(planned.id)
    task.set_caching_options(False)
    wanted = planned.step.resources
    if wanted.retries:
        task.set_retry(
            num_retries=wanted.retries, backoff_duration="30s", backoff_max_duration="300s"
        )
    if wanted.timeout:
        kubernetes.set_timeout(task, wanted.timeout)
    if wanted.cpu:
        task.set_cpu_request(wanted.cpu).set_cpu_limit(wanted.cpu)
    if wanted.memory:
        task.set_memory_request(wanted.memory).set_memory_limit(wanted.memory)
    if computes:
        _configure_device(task, planned)
    _configure_pod(task, cluster)


def _configure_device(task: Any, planned: PlannedStep) -> None:
    wanted = planned.step.resources
    if wanted.accelerator:
        task.set_accelerator_type(wanted.accelerator).set_accelerator_limit(wanted.accelerators)
    for label, value in wanted.node_selector.items():
        kubernetes.add_node_selector(task, label, value)
    for toleration in wanted.tolerations:
        kubernetes.add_toleration(task, **toleration)
    if wanted.shared_memory:
        kubernetes.empty_dir_mount(
            task,
            volume_name="shared-memory",
            mount_path="/dev/shm",  # noqa: S108 - shared memory itself
            medium="Memory",
            size_limit=wanted.shared_memory,
        )


def _configure_pod(task: Any, cluster: Cluster) -> None:
    kubernetes.set_image_pull_policy(task, cluster.pull_policy)
    if cluster.pull_secrets:
        kubernetes.set_image_pull_secrets(task, list(cluster.pull_secrets))
    if cluster.volume:
        kubernetes.mount_pvc(task, pvc_name=cluster.volume, mount_path=cluster.volume_path)
        # Models that one step fetched are there for the next, and for the next run.
        task.set_env_variable("HF_HOME", f"{cluster.volume_path}/.cache/huggingface")
    for variable, (secret, key) in cluster.secrets.items():
        kubernetes.use_secret_as_env(task, secret_name=secret, secret_key_to_env={key: variable})


def _check_paths(plan: Plan, cluster: Cluster) -> None:
    """Refuse paths of this machine, which mean nothing to the cluster."""
    if not (storage.is_remote(plan.base_path) or _mounted(plan.base_path, cluster)):
        msg = (
            f"BASE_PATH {plan.base_path} is a folder of this machine, which the cluster cannot "
            "see; name an object store (s3://, gs://), or a folder of a volume that "
            "KUBEFLOW_VOLUME=CLAIM:/PATH names."
        )
        raise InvalidPipelineError(msg)
    for planned in plan.steps:
        for name in _argument_types(planned):
            argument, value = planned.spec.arguments[name], planned.arguments[name]
            here = argument.output or (argument.path and Path(str(value)).is_absolute())
            if here and not (storage.is_remote(value) or _mounted(value, cluster)):
                msg = (
                    f"{planned.id}: {name} is {value}, a path of this machine, which the cluster "
                    "cannot see; name a model or dataset of the hub, or a path in the volume."
                )
                raise InvalidPipelineError(msg)


def _check_references(plan: Plan, cluster: Cluster) -> None:
    """Refuse arguments that name a secret which the pods do not get."""
    for planned in plan.steps:
        for name, value in planned.arguments.items():
            if not planned.spec.arguments[name].by_reference:
                continue
            variable, file = variable_of(value), file_of(value)
            if variable is not None and variable not in cluster.secrets:
                msg = (
                    f"{planned.id}: {name} is {value}, but the pods have no such variable; add "
                    f"{variable}=SECRET/KEY to KUBEFLOW_SECRETS."
                )
                raise InvalidPipelineError(msg)
            if file is not None and not _mounted(file, cluster):
                msg = (
                    f"{planned.id}: {name} is {value}, a file of this machine, which the pods "
                    "cannot see; name a variable instead, as env:NAME."
                )
                raise InvalidPipelineError(msg)


def _mounted(path: str, cluster: Cluster) -> bool:
    return bool(cluster.volume) and Path(path).is_relative_to(cluster.volume_path)
