"""Holds a compiled package against the rules of the Kubeflow Pipelines server, before it sees it.

The rules are those that the server applies when a package is uploaded and a run is made of it, and
what its drivers cannot resolve (read in its source, version 2.17).
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2 as kubernetes_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from fondant_spec.errors import InvalidPipelineError
from fondant_spec.pipeline.plan import Plan
from fondant_spec.runners.kubeflow.package import documents, slices_name, task_name

MAX_PACKAGE_BYTES: Final = 32 << 20
MAX_PARAMETER_BYTES: Final = 65_535
"""What the column holds in which servers before 2.15 keep the values of a run, as JSON.

Their `MAX_PARAMETER_BYTES`, of 10,000, is asked of runs of version 1 alone."""

SCHEMA_VERSION: Final = "2.1.0"

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")
_UNRESOLVED: Final = ("IfPresent", "Concat")


def check_package(text: str, plan: Plan) -> None:
    """Make sure that the server takes a package, and that nothing the plan asks for was lost.

    Raises:
        InvalidPipelineError: all that is wrong with it.
    """
    faults = list(_faults(text, plan))
    if faults:
        msg = "Kubeflow Pipelines would refuse the package:\n" + "\n".join(f"- {f}" for f in faults)
        raise InvalidPipelineError(msg)


def _faults(text: str, plan: Plan) -> Iterator[str]:
    if len(text.encode()) > MAX_PACKAGE_BYTES:
        yield f"it is larger than {MAX_PACKAGE_BYTES >> 20} MB"
    try:
        pipeline, platform = documents(text)
    except InvalidPipelineError as error:
        yield str(error)
        return
    unreadable = list(_unreadable(pipeline, platform))
    yield from unreadable
    if not unreadable:
        yield from _pipeline_faults(pipeline)
        yield from _parameter_faults(pipeline)
        yield from _container_faults(pipeline)
        yield from _resource_faults(pipeline, _executor_configs(platform), plan)


def _unreadable(pipeline: Mapping[str, Any], platform: Mapping[str, Any]) -> Iterator[str]:
    """Parse both documents as strictly as the server does: a field it does not know is an error."""
    configs = _executor_configs(platform)
    messages = [
        ("the pipeline", pipeline, pipeline_spec_pb2.PipelineSpec()),
        ("the platform", platform, pipeline_spec_pb2.PlatformSpec()),
        *(
            (f"the platform's {label}", config, kubernetes_pb2.KubernetesExecutorConfig())
            for label, config in configs.items()
        ),
    ]
    for what, content, message in messages:
        try:
            json_format.ParseDict(content, message)
        except json_format.ParseError as error:
            yield f"{what} cannot be read: {error}"
    for label in configs.keys() - _executors(pipeline).keys():
        yield f"the platform configures {label}, which the pipeline does not have"


def _pipeline_faults(pipeline: Mapping[str, Any]) -> Iterator[str]:
    if pipeline.get("schemaVersion") != SCHEMA_VERSION:
        yield f"schemaVersion is {pipeline.get('schemaVersion')!r}, not {SCHEMA_VERSION!r}"
    name = pipeline["pipelineInfo"].get("name", "")
    if not _NAME.fullmatch(name):
        yield f"its name {name!r} is not lower-case letters, digits and dashes, 128 at most"
    if not pipeline.get("root", {}).get("dag", {}).get("tasks"):
        yield "it has no tasks"
    components = pipeline.get("components", {})
    for task, content in _tasks(pipeline):
        if content.get("componentRef", {}).get("name") not in components:
            yield f"task {task} refers to a component that is not there"
        if content.get("cachingOptions", {}).get("enableCache"):
            yield f"task {task} has Kubeflow's own caching on, which does not look at the data"
    for component, content in components.items():
        label = content.get("executorLabel")
        if "dag" not in content and label not in _executors(pipeline):
            yield f"component {component} refers to an executor that is not there: {label!r}"


def _parameter_faults(pipeline: Mapping[str, Any]) -> Iterator[str]:
    parameters = pipeline.get("root", {}).get("inputDefinitions", {}).get("parameters", {})
    values = {name: content.get("defaultValue") for name, content in parameters.items()}
    for name, value in values.items():
        if value is None:
            yield f"parameter {name} has no value"
    sizes = {name: _json_bytes(value) for name, value in values.items()}
    size = _json_bytes(values)
    if size > MAX_PARAMETER_BYTES:
        longest = max(sizes, key=lambda name: sizes[name])
        yield (
            f"the values of its form take {size:,} bytes, more than the {MAX_PARAMETER_BYTES:,} "
            f"that servers keep; {longest} takes {sizes[longest]:,} of them"
        )


def _json_bytes(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def _container_faults(pipeline: Mapping[str, Any]) -> Iterator[str]:
    for label, executor in _executors(pipeline).items():
        container = executor.get("container")
        if not container:
            yield f"{label} is no container"
            continue
        if not container.get("image"):
            yield f"{label} has no image"
        if not container.get("command"):
            yield f"{label} has no command, and the image's own entry point is not used"
        for word in [*container.get("command", []), *container.get("args", [])]:
            for placeholder in _UNRESOLVED:
                if f'"{placeholder}"' in word:
                    yield f"{label} uses {placeholder}, which the server does not resolve: {word}"


def _resource_faults(
    pipeline: Mapping[str, Any], configs: Mapping[str, Any], plan: Plan
) -> Iterator[str]:
    for planned in plan.steps:
        wanted = planned.step.resources
        spread = planned.step.fan_out > 1
        label = f"exec-{slices_name(planned.id) if spread else task_name(planned.id)}"
        container = _executors(pipeline).get(label, {}).get("container")
        if container is None:
            yield f"step {planned.id} is not there"
            continue
        device = container.get("resources", {}).get("accelerator", {})
        found = (device.get("resourceType"), int(device.get("resourceCount", 0)))
        if wanted.accelerator and found != (wanted.accelerator, wanted.accelerators):
            yield f"step {planned.id} has lost its accelerator, {wanted.accelerator}"
        labels = configs.get(label, {}).get("nodeSelector", {}).get("labels", {})
        if labels != dict(wanted.node_selector):
            yield f"step {planned.id} has lost its node selector, {dict(wanted.node_selector)}"


def _tasks(pipeline: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for holder in (pipeline.get("root", {}), *pipeline.get("components", {}).values()):
        yield from holder.get("dag", {}).get("tasks", {}).items()


def _executors(pipeline: Mapping[str, Any]) -> Mapping[str, Any]:
    return pipeline.get("deploymentSpec", {}).get("executors", {})  # type: ignore[no-any-return]


def _executor_configs(platform: Mapping[str, Any]) -> dict[str, Any]:
    kubernetes = platform.get("platforms", {}).get("kubernetes", {})
    return dict(kubernetes.get("deploymentSpec", {}).get("executors", {}))
