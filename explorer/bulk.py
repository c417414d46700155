"""Bulk edits: changes to many rows at once, every one previewed before any is written."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from explorer.editing import MOST_AT_ONCE, Change, Editing
from explorer.overlay import TEXT
from explorer.tables import KEY, Table, Tables
from explorer.views import Query
from fondant_spec.errors import InvalidArgumentError
from image_toolkit.edits.cells import Cell
from image_toolkit.edits.edit import (
    CAPTION,
    DROPPED,
    SPLITS,
    TAG,
    Value,
    check_value,
    what_is_wrong,
)
from image_toolkit.training.splits import SPLIT

REPLACE: Final = "replace"

ACTIONS: Final = {
    REPLACE: "find and replace in captions",
    "tag": "add a tag",
    "untag": "remove a tag",
    "split": "move to a split",
    "drop": "drop",
    "keep": "keep",
}


@dataclass(frozen=True)
class Bulk:
    r"""An edit of all rows of a view.

    `find` is the text to find in captions and `put` its replacement; with `regex`, `find` is an RE2
    regular expression, and `put` may refer to its groups as \1. `word` is the tag or the split.
    """

    action: str = REPLACE
    find: str = ""
    put: str = ""
    regex: bool = False
    case: bool = True
    word: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Bulk":
        """Return the edit that a query string describes.

        Raises:
            InvalidArgumentError: there is no such action.
        """
        action = query.get("action", REPLACE)
        if action not in ACTIONS:
            msg = f"there is no action {action!r}; there are {', '.join(ACTIONS)}."
            raise InvalidArgumentError(msg)
        return cls(
            action=action,
            find=query.get("find", ""),
            put=query.get("put", ""),
            regex=query.get("regex") == "1",
            case=query.get("case", "1") == "1",
            word=query.get("word", "").strip(),
        )

    @property
    def address(self) -> str:
        """The query string of this edit, without the `?`."""
        values = {k: v for k, v in vars(self).items() if v != getattr(Bulk(), k)}
        return urlencode({k: int(v) if isinstance(v, bool) else v for k, v in values.items()})

    @property
    def is_asked(self) -> bool:
        """Whether the edit is complete enough to preview."""
        if self.action == REPLACE:
            return bool(self.find)
        return bool(self.word) or self.action in ("drop", "keep")


@dataclass(frozen=True)
class Planned:
    """One planned change: the row, its image and caption, and its cell's value before and after."""

    row: str
    image: str
    text: str | None
    field: str
    before: Value
    after: Value


@dataclass(frozen=True)
class Preview:
    """The changes to all rows of a view.

    `blank` is the number of captions left unchanged because they would become blank or too long.
    """

    changes: tuple[Planned, ...]
    blank: int

    @property
    def images(self) -> int:
        """Number of images that would change; rows of one image may have different captions."""
        return len({one.image for one in self.changes})

    @property
    def digest(self) -> str:
        """A hash of the changes, so that exactly what was previewed is written."""
        told = json.dumps([[c.row, c.text, c.field, c.before, c.after] for c in self.changes])
        return hashlib.sha256(told.encode()).hexdigest()


def preview(tables: Tables, table: Table, query: Query, bulk: Bulk) -> Preview:
    """Return the changes that an edit would make.

    Raises:
        InvalidArgumentError: the regular expression, tag or split is invalid, or there are too many
            changes.
    """
    found = (
        _replaced(tables, table, query, bulk)
        if bulk.action == REPLACE
        else _set(tables, table, query, bulk)
    )
    good = [one for one in found if not what_is_wrong(one.field, one.after)]
    if len(good) > MOST_AT_ONCE:
        msg = f"{len(good):,} changes; {MOST_AT_ONCE:,} can be made at once. Filter the rows first."
        raise InvalidArgumentError(msg)
    return Preview(tuple(good), len(found) - len(good))


def apply(
    editing: Editing, tables: Tables, table: Table, query: Query, bulk: Bulk, digest: str
) -> int:
    """Write the previewed changes if they are still the same; return the number of images changed.

    Raises:
        InvalidArgumentError: the changes differ from the preview.
    """
    planned = preview(tables, table, query, bulk)
    if planned.digest != digest:
        msg = "the rows have changed since you looked; nothing was written. Look again."
        raise InvalidArgumentError(msg)
    cells = editing.of_rows([{KEY: one.image, TEXT: one.text} for one in planned.changes])
    editing.write(table, list(map(_change, planned.changes, cells)))
    return planned.images


def _change(planned: Planned, cells: Mapping[str, Cell]) -> Change:
    cell = cells.get(planned.field)
    return Change(planned.row, planned.field, planned.after, cell.ids if cell else ())


def _replaced(tables: Tables, table: Table, query: Query, bulk: Bulk) -> list[Planned]:
    if not table.has_captions:
        msg = "the dataset has no captions."
        raise InvalidArgumentError(msg)
    if not bulk.regex and bulk.case:
        new, values = f"replace({CAPTION}, ?, ?)", [bulk.find, bulk.put]
    else:
        find = bulk.find if bulk.regex else _literal(bulk.find)
        put = bulk.put if bulk.regex else bulk.put.replace("\\", "\\\\")
        new = f"regexp_replace({CAPTION}, ?, ?, '{'g' if bulk.case else 'gi'}')"
        values = [find, put]
    rows = tables.rows(
        f'SELECT id, "{KEY}" AS image, {TEXT} AS text, {CAPTION} AS before, {new} AS after '
        f"FROM {table.shown} "
        f'WHERE {query.conditions} AND "{KEY}" IS NOT NULL '
        "AND after IS DISTINCT FROM before ORDER BY id",
        [*values, *query.values],
    )
    return [Planned(r["id"], r["image"], r["text"], CAPTION, r["before"], r["after"]) for r in rows]


def _set(tables: Tables, table: Table, query: Query, bulk: Bulk) -> list[Planned]:
    """Return the changes to all rows whose cell holds another value."""
    field, value = _cell(bulk)
    check_value(field, value)
    before = "list_contains(tags, ?)" if field.startswith(TAG) else field
    values = [bulk.word] if field.startswith(TAG) else []
    rows = tables.rows(
        f'SELECT id, "{KEY}" AS image, {TEXT} AS text, {before} AS before FROM {table.shown} '
        f'WHERE {query.conditions} AND "{KEY}" IS NOT NULL '
        "AND before IS DISTINCT FROM ? ORDER BY id",
        [*values, *query.values, value],
    )
    return [Planned(r["id"], r["image"], r["text"], field, r["before"], value) for r in rows]


def _cell(bulk: Bulk) -> tuple[str, Value]:
    if bulk.action in ("tag", "untag"):
        return TAG + bulk.word, bulk.action == "tag"
    if bulk.action == "split":
        if bulk.word not in SPLITS:
            msg = f"a split is {' or '.join(SPLITS)}, not {bulk.word!r}."
            raise InvalidArgumentError(msg)
        return SPLIT, bulk.word
    return DROPPED, bulk.action == "drop"


def _literal(text: str) -> str:
    """Return a regular expression that matches a text literally."""
    return "".join(f"\\x{{{ord(c):x}}}" if not c.isalnum() else c for c in text)
