"""YAML in which each key stands once: of two, a plain reader silently takes the last."""

from typing import Any

import yaml


class UniqueKeyLoader(yaml.SafeLoader):
    """A safe loader that refuses a key that comes twice, by its name and its line."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - as it is inherited
        """Return a mapping.

        Raises:
            yaml.constructor.ConstructorError: a key comes twice.
        """
        seen = set()
        for key_node, _ in node.value:
            key = (key_node.tag, key_node.value) if isinstance(key_node.value, str) else None
            if key is not None and key in seen and key_node.tag != "tag:yaml.org,2002:merge":
                place = f"line {key_node.start_mark.line + 1}"
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key_node.value!r} comes twice, again on {place}"
                )
            seen.add(key)
        made: dict[Any, Any] = super().construct_mapping(node, deep)
        return made
