"""Changing many rows at once: every change is there to be seen before one is written."""

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
    r"""What is to be done with all rows of a view.

    `find` and `put` are what is found in captions and what stands there then; with `regex`, `find`
    is a regular expression of RE2, and `put` may have \1 for its groups. `word` is the tag or the
    split.
    """

    action: str = REPLACE
    find: str = ""
    put: str = ""
    regex: bool = False
    case: bool = True
    word: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Bulk":
        """Return what an address asks for.

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
        """The part of an address behind `?` for this."""
        values = {k: v for k, v in vars(self).items() if v != getattr(Bulk(), k)}
        return urlencode({k: int(v) if isinstance(v, bool) else v for k, v in values.items()})

    @property
    def is_asked(self) -> bool:
        """Whether it says what to do."""
        if self.action == REPLACE:
            return bool(self.find)
        return bool(self.word) or self.action in ("drop", "keep")


@dataclass(frozen=True)
class Planned:
    """One change: the row, its image and its caption, and what its cell holds before and after."""

    row: str
    image: str
    text: str | None
    field: str
    before: Value
    after: Value


@dataclass(frozen=True)
class Preview:
    """The changes of all rows of a view. `blank` captions would be left empty, so they stay."""

    changes: tuple[Planned, ...]
    blank: int

    @property
    def images(self) -> int:
        """How many images would change; rows of one may have captions of their own."""
        return len({one.image for one in self.changes})

    @property
    def digest(self) -> str:
        """A hash of the changes: what was seen is what is written."""
        told = json.dumps([[c.row, c.text, c.field, c.before, c.after] for c in self.changes])
        return hashlib.sha256(told.encode()).hexdigest()


def preview(tables: Tables, table: Table, query: Query, bulk: Bulk) -> Preview:
    """Return what would be changed.

    Raises:
        InvalidArgumentError: the regular expression is none, the tag or split cannot be, or there
            are too many changes.
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
    """Write the changes that a preview had, if they are still the same; return of how many images.

    Raises:
        InvalidArgumentError: they are others by now.
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
    """Return the changes of all rows whose cell holds something else."""
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
    """Return the regular expression that finds a text as it is."""
    return "".join(f"\\x{{{ord(c):x}}}" if not c.isalnum() else c for c in text)
