"""Finding, before anything runs, the paths in a plan that lead nowhere on this machine."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fondant_spec.dataset import storage
from fondant_spec.dataset.path_patterns import matches
from fondant_spec.errors import InputDataError
from fondant_spec.pipeline.plan import Plan

_BEGINNINGS: Final = ("/", "./", "../", "~", "file://")
"""How a path begins that can be nothing else."""

_MOST_SLASHES: Final = 1
"""Of an id on a hub, which is `owner/name`."""


def check_paths(plan: Plan) -> None:
    """Make sure that the files and folders that steps are told to read are there.

    What a step of the plan itself writes is left aside, and what is made before it runs.

    Raises:
        InputDataError: naming the steps, their arguments, and the paths that lead nowhere.
    """
    made = [*plan.made, *(value for _, _, value in _paths(plan, outputs=True))]
    missing = [
        f"{step}: {name}: {value}: there is no such file or folder."
        for step, name, value in _paths(plan, outputs=False)
        if is_path(value) and not _is_there(value) and not _is_below(value, made)
    ]
    if missing:
        raise InputDataError("\n".join(missing))


def _paths(plan: Plan, *, outputs: bool) -> Iterator[tuple[str, str, str]]:
    for planned in plan.steps:
        for name, value in planned.arguments.items():
            declared = planned.spec.arguments[name]
            wanted = declared.output if outputs else declared.path and not declared.output
            if wanted and isinstance(value, str):
                yield planned.id, name, value


def is_path(value: str) -> bool:
    """Return whether a value is a path for certain, and neither an id on a hub nor a URL."""
    longer = ":" not in value and value.count("/") > _MOST_SLASHES
    return longer or value.startswith(_BEGINNINGS)


def _is_there(value: str) -> bool:
    path = storage.normalize(value)
    return Path(path).exists() or bool(matches(path))


def _is_below(value: str, made: list[str]) -> bool:
    path = Path(storage.normalize(value))
    return any(path.is_relative_to(storage.normalize(folder)) for folder in made)
