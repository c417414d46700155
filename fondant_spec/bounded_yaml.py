"""YAML that others wrote: data alone, read within bounds.

A few lines can stand for more than any memory holds (anchors that name anchors), or nest deeper
than Python follows.
"""

from collections.abc import Mapping
from typing import Any, Final

import yaml

_MOST_CHARACTERS: Final = 2 << 20
"""Of a text: dataset cards with thousands of configurations have about a million."""

_MOST_VALUES: Final = 200_000
_DEEPEST: Final = 100
_TOO_DEEP: Final = f"it is nested more than {_DEEPEST} deep"
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(text: str) -> Any:
    """Return what YAML says.

    Raises:
        ValueError: it is no YAML, or beyond the bounds; the message says which.
    """
    if len(text) > _MOST_CHARACTERS:
        msg = f"it has more than {_MOST_CHARACTERS:,} characters"
        raise ValueError(msg)
    try:
        _check_depth(text)  # libyaml would run out of stack, and end the process
        value = yaml.load(text, Loader=_LOADER)  # noqa: S506 - a safe one
    except (yaml.YAMLError, TypeError, OverflowError, AttributeError) as error:
        raise ValueError(str(error)) from None
    _count(value, 0, 0)
    return value


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            raise ValueError(_TOO_DEEP)


def _count(value: Any, counted: int, depth: int) -> int:
    """Return how many values there were with this one, counting those of an anchor each time."""
    counted += 1
    if depth > _DEEPEST or counted > _MOST_VALUES:
        raise ValueError(_TOO_DEEP if depth > _DEEPEST else "it is too large, by its anchors")
    inside = (*value, *value.values()) if isinstance(value, Mapping) else value
    if isinstance(inside, list | tuple | set):
        for item in inside:
            counted = _count(item, counted, depth + 1)
    return counted
