"""Safe parsing of untrusted YAML: plain data only, bounded in size and depth.

A few lines can expand to more than any memory holds (anchors that refer to anchors), or nest more
deeply than Python can recurse.
"""

from collections.abc import Mapping
from typing import Any, Final

import yaml

_MOST_CHARACTERS: Final = 2 << 20
"""Limit per text; dataset cards with thousands of configurations have about a million."""

_MOST_VALUES: Final = 200_000
_DEEPEST: Final = 100
_TOO_DEEP: Final = f"it is nested more than {_DEEPEST} deep"
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _UniqueKeys(_LOADER):  # type: ignore[misc, valid-type]  # one of two
    """A loader that rejects duplicate keys, where others keep the last value."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - as it is inherited
        """Return the mapping of a node, and raise an error if a key occurs twice."""
        seen = set()
        for key, _ in node.value:
            name = (key.tag, key.value) if isinstance(key.value, str) else None
            if name is not None and name in seen and key.tag != "tag:yaml.org,2002:merge":
                line = key.start_mark.line + 1
                msg = f"the key {key.value!r} comes twice, again on line {line}"
                raise yaml.constructor.ConstructorError(problem=msg)
            seen.add(name)
        made: dict[Any, Any] = super().construct_mapping(node, deep)
        return made


def read_yaml(text: str, *, unique_keys: bool = False) -> Any:
    """Parse YAML into plain Python data.

    Raises:
        ValueError: the text is not YAML, exceeds a bound, or has a duplicate key while
            `unique_keys` is set; the message says which.
    """
    if len(text) > _MOST_CHARACTERS:
        msg = f"it has more than {_MOST_CHARACTERS:,} characters"
        raise ValueError(msg)
    try:
        _check_depth(text)  # libyaml would overflow the stack and crash the process
        value = yaml.load(text, Loader=_UniqueKeys if unique_keys else _LOADER)  # noqa: S506 - safe ones
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
    """Return the running count of values including this one; an anchor counts at each use."""
    counted += 1
    if depth > _DEEPEST or counted > _MOST_VALUES:
        raise ValueError(_TOO_DEEP if depth > _DEEPEST else "it is too large, by its anchors")
    inside = (*value, *value.values()) if isinstance(value, Mapping) else value
    if isinstance(inside, list | tuple | set):
        for item in inside:
            counted = _count(item, counted, depth + 1)
    return counted
