"""Compiles a plan to a package of Kubeflow Pipelines: YAML of the pipeline and its Kubernetes side.

Each step is a container component that is given its arguments as typed parameters, which the form
of the host shows, and leaves the location of its manifest as an output parameter. Parameters that
are None are left out, since hosts before 2.17 cannot leave out an optional one.
"""

import inspect
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from fondant_spec import storage
from fondant_spec.errors import InvalidPipelineError, MissingDependencyError
from fondant_spec.images import image_of
from fondant_spec.plan import Plan, PlannedStep, options_argv
from fondant_spec.runners.docker import COMMAND
from fondant_spec.runners.kubeflow.cluster import Cluster
from fondant_spec.runners.kubeflow.package import slices_name, task_name

try:
    from kfp import compiler, components, dsl, kubernetes
except ImportError as error:
    message = f"Kubeflow needs the extra `kubeflow`: pip install 'fondant-spec[kubeflow]' ({error})"
    raise MissingDependencyError(message) from None

OUTPUT: Final = "output_manifest_path"
INPUT: Final = "input_manifest_path"

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
        InvalidPipelineError: the base path or an argument is a path that the cluster cannot see; a
            step that cannot be spread is; or two steps have the same name there.
    """
    _check_paths(plan, cluster)
    with tempfile.TemporaryDirectory(prefix="fondant-") as folder:
        file = Path(folder) / "package.yaml"
        compiler.Compiler().compile(_pipeline(plan, cluster), str(file))
        return file.read_text(encoding="utf-8")


def _pipeline(plan: Plan, cluster: Cluster) -> Any:
    parameters = list(_parameters(plan))
    names = [parameter.name for parameter in parameters]
    if len(set(names)) < len(names) or len({task_name(s.id) for s in plan.steps}) < len(plan.steps):
        msg = "two steps have ids that differ in `-` and `_` only, which Kubeflow takes for equal."
        raise InvalidPipelineError(msg)

    def pipeline(*values: Any) -> None:
        given = dict(zip(names, values, strict=True))
        outputs: dict[str, Any] = {}
        for planned in plan.steps:
            outputs[planned.id] = _add_step(plan, planned, cluster, given, outputs)

    vars(pipeline)["__signature__"] = inspect.Signature(parameters)
    return dsl.pipeline(name=task_name(plan.pipeline_name))(pipeline)


def _parameters(plan: Plan) -> Iterator[inspect.Parameter]:
    """Yield what the form of the host shows: base path, run id, and each step's arguments."""

    def parameter(name: str, default: Any, type_: type) -> inspect.Parameter:
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        return inspect.Parameter(name, kind, default=default, annotation=type_)

    yield parameter("base_path", plan.base_path, str)
    yield parameter("run_id", plan.run_id, str)
    for planned in plan.steps:
        for name, value in _given(planned).items():
            kfp_type = _KFP_TYPES[planned.spec.arguments[name].type]
            yield parameter(_parameter_name(planned.id, name), value, _PYTHON_TYPES[kfp_type])


def _given(planned: PlannedStep) -> dict[str, Any]:
    return {name: value for name, value in planned.arguments.items() if value is not None}


def _parameter_name(step_id: str, argument: str) -> str:
    return f"{step_id.replace('-', '_')}__{argument}"


def _add_step(
    plan: Plan,
    planned: PlannedStep,
    cluster: Cluster,
    given: Mapping[str, Any],
    outputs: Mapping[str, Any],
) -> Any:
    """Add a step to the pipeline that is being described, and return its output."""
    words = {"base_path": given["base_path"], "run_id": given["run_id"]}
    words |= {_input_name(i): outputs[name] for i, name in enumerate(planned.step.after)}
    words |= {name: given[_parameter_name(planned.id, name)] for name in _given(planned)}
    if planned.step.fan_out > 1:
        words["slices"] = _add_slices(plan, planned, cluster, words)
    task = _component(plan, planned, "slices" if "slices" in words else None)(**words)
    _configure(task, planned, cluster, computes="slices" not in words)
    return task.outputs[OUTPUT]


def _add_slices(
    plan: Plan, planned: PlannedStep, cluster: Cluster, words: Mapping[str, Any]
) -> Any:
    """Add the slices of a step; the step itself then finds all partitions done, and commits."""
    count = planned.step.fan_out
    if planned.spec.loads:
        msg = f"{planned.id}: a component that loads reads one stream, so fan_out must be 1."
        raise InvalidPipelineError(msg)
    items = [f"{index}/{count}" for index in range(count)]
    with dsl.ParallelFor(items, parallelism=count) as item:
        task = _component(plan, planned, "slice", slices_name(planned.id))(**words, slice=item)
        _configure(task, planned, cluster, computes=True)
    return dsl.Collected(task.outputs[OUTPUT])


def _component(
    plan: Plan, planned: PlannedStep, extra: str | None, name: str | None = None
) -> Callable[..., Any]:
    """Return the component of a step; `extra` is an input for its slice, or for all slices."""
    inputs = {"base_path": "String", "run_id": "String"}
    inputs |= {_input_name(i): "String" for i in range(len(planned.step.after))}
    inputs |= {n: _KFP_TYPES[planned.spec.arguments[n].type] for n in _given(planned)}
    argv: list[Any] = ["--pipeline_name", plan.pipeline_name, "--step_id", planned.id]
    for input_name in inputs:
        option = INPUT if input_name.startswith(INPUT) else input_name
        argv += [f"--{option}", {"inputValue": input_name}]
    if extra:
        inputs[extra] = "String" if extra == "slice" else "JsonArray"
    if extra == "slice":
        argv += ["--slice", {"inputValue": "slice"}]
    argv += [*options_argv(planned.step), f"--{OUTPUT}", {"outputPath": OUTPUT}]
    text = {
        "name": name or task_name(planned.id),
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
    return components.load_component_from_text(yaml.safe_dump(text))  # type: ignore[no-any-return]


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
        for name, value in _given(planned).items():
            argument = planned.spec.arguments[name]
            here = argument.output or (argument.path and Path(str(value)).is_absolute())
            if here and not (storage.is_remote(value) or _mounted(value, cluster)):
                msg = (
                    f"{planned.id}: {name} is {value}, a path of this machine, which the cluster "
                    "cannot see; name a model or dataset of the hub, or a path in the volume."
                )
                raise InvalidPipelineError(msg)


def _mounted(path: str, cluster: Cluster) -> bool:
    return bool(cluster.volume) and Path(path).is_relative_to(cluster.volume_path)
