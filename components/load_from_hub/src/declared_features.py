"""A dataset's own declaration of its columns: which hold images, and the names of classes."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

_IMAGE = "Image"


@dataclass(frozen=True)
class Declared:
    """The columns of images, and the class names of columns with class numbers."""

    image_columns: frozenset[str] = frozenset()
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __or__(self, other: "Declared") -> "Declared":
        """Merge two declarations; the second takes precedence."""
        together = {**self.classes, **other.classes}
        return Declared(self.image_columns | other.image_columns, together)


def of_schema(schema: pa.Schema) -> Declared:
    """Return the features that `datasets` stored in the metadata of a file."""
    try:
        told = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = told["info"]["features"]
        return of_features(features)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Declared()


def of_features(features: Mapping[str, Mapping[str, Any]]) -> Declared:
    """Return the declarations in features, given as the JSON of `datasets`."""
    kinds = {name: f.get("_type") for name, f in features.items() if isinstance(f, Mapping)}
    classes = {
        name: tuple(map(str, features[name]["names"]))
        for name, kind in kinds.items()
        if kind == "ClassLabel" and isinstance(features[name].get("names"), list)
    }
    return Declared(frozenset(name for name, kind in kinds.items() if kind == _IMAGE), classes)


def of_readme(entries: Any) -> Declared:
    """Return the declarations in the `features` of a README: entries of `name` and `dtype`."""
    images: set[str] = set()
    classes: dict[str, tuple[str, ...]] = {}
    for entry in entries if isinstance(entries, Iterable) else ():
        name = entry.get("name") if isinstance(entry, Mapping) else None
        kind = entry.get("dtype") if isinstance(entry, Mapping) else None
        if isinstance(name, str) and kind == "image":
            images.add(name)
        elif isinstance(name, str) and isinstance(kind, Mapping) and "class_label" in kind:
            label = kind["class_label"]
            names = label.get("names") if isinstance(label, Mapping) else None
            classes[name] = _in_order(names)
    return Declared(frozenset(images), classes)


def _in_order(names: Any) -> tuple[str, ...]:
    """Return class names ordered by number, given a list, or `number: name` in any order."""
    if isinstance(names, Mapping):
        numbers = {int(number): name for number, name in names.items()}
        if sorted(numbers) != list(range(len(numbers))):
            msg = f"its README numbers the classes {sorted(numbers)}; number them from 0, each once"
            raise ValueError(msg)
        names = [numbers[number] for number in range(len(numbers))]
    return tuple(map(str, names if isinstance(names, Iterable) else ()))
