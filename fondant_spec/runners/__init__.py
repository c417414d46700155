"""Places where a plan can be executed. A runner's module is imported when it is asked for."""

from importlib import import_module
from typing import Any, Final

from fondant_spec.errors import InvalidConfigError

RUNNERS: Final = {
    "local": "fondant_spec.runners.local",
    "docker": "fondant_spec.runners.docker",
    "kubeflow": "fondant_spec.runners.kubeflow",
}


def load(name: str) -> Any:
    """Return the module of a runner; it has `run(plan, ...)`, which returns how the steps ended.

    Raises:
        InvalidConfigError: there is no such runner.
    """
    if name not in RUNNERS:
        msg = f"there is no runner {name!r}; choose one of {', '.join(RUNNERS)}."
        raise InvalidConfigError(msg)
    return import_module(RUNNERS[name])
