"""Finding paths in a plan that do not exist on this machine, before anything runs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fondant_spec.dataset import storage
from fondant_spec.dataset.path_patterns import matches
from fondant_spec.errors import InputDataError
from fondant_spec.pipeline.plan import Plan

_BEGINNINGS: Final = ("/", "./", "../", "~", "file://")
"""Prefixes that only a path can have."""

_MOST_SLASHES: Final = 1
"""In an id on a hub, which is `owner/name`."""


def check_paths(plan: Plan) -> None:
    """Check that the files and folders that steps are to read exist.

    Paths that a step of the plan itself writes, or that are created before it runs, are skipped.

    Raises:
        InputDataError: naming the steps, their arguments, and the missing paths.
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
