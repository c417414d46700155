"""The requests of a package's pods: an image, and the resources of a node."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fondant_spec.runners.kubeflow.package import documents, slices_name, task_name


@dataclass(frozen=True)
class PodRequest:
    """The requests of a step's pods, formatted, scarcest first; `memory` is the limit."""

    image: str = ""
    wants: tuple[str, ...] = ()
    memory: str = ""

    def __str__(self) -> str:
        """Format the requests for a message."""
        return ", ".join([*self.wants, f"the image {self.image}"])


@dataclass(frozen=True)
class PodRequests:
    """The requests of all steps of a package, by executor name."""

    executors: Mapping[str, PodRequest] = field(default_factory=dict)

    @classmethod
    def of(cls, package: str) -> "PodRequests":
        """Read the requests from a package."""
        pipeline, platform = documents(package)
        executors = pipeline.get("deploymentSpec", {}).get("executors", {})
        kubernetes = platform.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {})
        configs = kubernetes.get("executors", {})
        return cls(
            {
                label: _request(executor.get("container", {}), configs.get(label, {}))
                for label, executor in executors.items()
            }
        )

    def step(self, step_id: str) -> PodRequest:
        """Return the requests of the pods that compute a step."""
        names = (f"exec-{slices_name(step_id)}", f"exec-{task_name(step_id)}")
        return next((self.executors[n] for n in names if n in self.executors), PodRequest())


def _request(container: Mapping[str, Any], config: Mapping[str, Any]) -> PodRequest:
    resources = container.get("resources", {})
    device = resources.get("accelerator", {})
    kind = device.get("resourceType") or device.get("type")
    wants = [f"{device.get('resourceCount') or device.get('count', 1)} {kind}"] if kind else []
    labels = config.get("nodeSelector", {}).get("labels", {})
    wants += [f"a node with the label {name}={value}" for name, value in labels.items()]
    for what in ("Cpu", "Memory"):
        asked = resources.get(f"resource{what}Request") or resources.get(f"resource{what}Limit")
        wants += [f"{asked} of memory" if what == "Memory" else f"{asked} CPU"] if asked else []
    wants += [f"the volume claim {mount.get('constant')}" for mount in config.get("pvcMount", [])]
    return PodRequest(
        container.get("image", ""), tuple(wants), str(resources.get("resourceMemoryLimit", ""))
    )
