"""Runners, each of which executes a plan in one kind of place: here, in Docker or on Kubeflow.

To add one, write a class (see `protocol.Runner`) in a file of its own, and add it to `RUNNERS`.
"""

from collections.abc import Mapping
from typing import Final

from fondant_spec.runners.docker import DockerRunner
from fondant_spec.runners.kubeflow import KubeflowRunner
from fondant_spec.runners.local import LocalRunner
from fondant_spec.runners.protocol import Runner, Settings

__all__ = ["RUNNERS", "DockerRunner", "KubeflowRunner", "LocalRunner", "Runner", "default_runner"]

RUNNERS: Final[Mapping[str, type[Runner]]] = {
    "local": LocalRunner,
    "docker": DockerRunner,
    "kubeflow": KubeflowRunner,
}


def default_runner(settings: Settings, *, package: bool = False) -> str:
    """Return the name of the default runner: Kubeflow if HOST or `package` is set, else local."""
    return "kubeflow" if package or settings.get("HOST") else "local"
