"""Places where a plan can be run. A new one is a class in a file of its own, and a row here."""

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
    """Return the name of the runner for who names none: Kubeflow if HOST or a package is wanted."""
    return "kubeflow" if package or settings.get("HOST") else "local"
