"""The tags of a model: `selected_tags.csv`, one line per output."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fondant_spec.errors import InputDataError

FILE: Final = "selected_tags.csv"

CATEGORIES: Final[Mapping[str, str]] = {
    "0": "general",
    "1": "artist",
    "3": "copyright",
    "4": "character",
    "5": "meta",
    "9": "rating",
}
"""Names of the categories by number, as on boorus; 9 exists only in taggers."""


@dataclass(frozen=True)
class KnownTag:
    """A tag as the model spells it, and its category."""

    name: str
    category: str


def read_tags(folder: Path) -> Sequence[KnownTag]:
    """Return the tags of a model.

    Raises:
        InputDataError: the table is damaged, or has an unknown category.
    """
    path = folder / FILE
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"{path}: cannot be read: {error}"
        raise InputDataError(msg) from None
    if not rows:
        msg = f"{path}: has no tags."
        raise InputDataError(msg)
    return [_tag(row, path, number) for number, row in enumerate(rows, 2)]


def _tag(row: Mapping[str | None, str | None], path: Path, line: int) -> KnownTag:
    name, category = row.get("name"), row.get("category")
    if not name or category is None:
        msg = f"{path}, line {line}: needs the columns tag_id, name, category and count."
        raise InputDataError(msg)
    if category not in CATEGORIES:
        known = ", ".join(f"{number} ({name})" for number, name in CATEGORIES.items())
        msg = f"{path}, line {line}: {name!r} is of category {category!r}; known are {known}."
        raise InputDataError(msg)
    return KnownTag(name, CATEGORIES[category])
