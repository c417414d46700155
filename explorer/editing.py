"""Writing edits without losing anyone's: a write fails if the cell was edited in the meantime."""

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from explorer.overlay import TEXT, quoted
from explorer.tables import KEY, Table, Tables
from fondant_spec.errors import FondantError, InvalidArgumentError
from image_toolkit.edits.cells import Cell, by_image, cells_of, for_text
from image_toolkit.edits.edit import (
    ACCEPTED,
    CAPTION,
    Edit,
    Value,
    check_value,
    new_id,
    now,
    text_cell,
)
from image_toolkit.edits.journal import Journal, edits_folder, edits_version
from image_toolkit.training.splits import SPLIT

MOST_AT_ONCE: Final = 100_000


class EditedMeanwhileError(FondantError):
    """Somebody has edited a cell since it was shown; nothing was written."""

    def __init__(self, cells: Mapping[str, Cell]) -> None:
        super().__init__("somebody has edited this meanwhile; nothing was written.")
        self.cells = cells


@dataclass(frozen=True)
class Change:
    """A person's new value for a cell, made after seeing the edits `after` of that cell."""

    row: str
    field: str
    value: Value
    after: tuple[str, ...] = ()


class Editing:
    """The edits of all datasets below a base path. Thread-safe."""

    def __init__(self, base_path: str, tables: Tables, who: str, *, read_only: bool) -> None:
        self._folder = edits_folder(base_path)
        self._journal = Journal(self._folder)
        self._tables = tables
        self._who = who
        self._lock = threading.RLock()
        self._version = ""
        self._edits: list[Edit] = []
        self._cells: dict[tuple[str, str], Cell] = {}
        self.read_only = read_only

    def refresh(self) -> None:
        """Read the edits that others have written.

        Raises:
            InvalidDatasetError: a line is not a valid edit.
        """
        with self._lock:
            version = edits_version(self._folder)
            if version != self._version:
                self._edits = sorted(self._journal.edits(), key=lambda edit: (edit.at, edit.id))
                self._cells = cells_of(self._edits)
                self._tables.set_edits(self._edits)
                self._version = version

    def history(self) -> list[Edit]:
        """Return all edits, newest first."""
        with self._lock:
            return self._edits[::-1]

    def of_rows(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Cell]]:
        """Return the edited cells of rows, each row with its image (`KEY`) and caption (`TEXT`)."""
        wanted = {row[KEY] for row in rows}
        with self._lock:
            images = by_image({key: cell for key, cell in self._cells.items() if key[0] in wanted})
        return [for_text(images.get(row[KEY], {}), row[TEXT]) for row in rows]

    def write(self, table: Table, changes: Sequence[Change]) -> str:
        """Write a person's changes as one action, and return the action's id.

        Raises:
            EditedMeanwhileError: a cell has changed since the person saw it.
            InvalidArgumentError: a change is invalid, or the site is read-only.
        """
        with self._lock:
            self._check_writable(len(changes))
            self.refresh()
            rows = self._rows(table, [change.row for change in changes])
            for change in changes:
                check_value(change.field, change.value)
                self._check_seen(rows[change.row], change)
            action = new_id()
            captions = [rows[one.row][KEY] for one in changes if one.field == CAPTION]
            several = _with_several_captions(self._tables, table, captions)
            edits = [
                self._edit(table, rows[change.row], change, action, several) for change in changes
            ]
            self._journal.add(list({edit.cell: edit for edit in edits}.values()))
            self.refresh()
            return action

    def undo(self, action: str = "") -> list[Edit]:
        """Undo an action, by default one's own latest; return the edits that undo it.

        Raises:
            InvalidArgumentError: there is none, or others have built on it.
        """
        with self._lock:
            self._check_writable(1)
            self.refresh()
            undone = {edit.undoes for edit in self._edits}
            own = [e for e in self._edits if e.by == self._who and not e.undoes]
            left = [edit.action for edit in own if edit.action not in undone]
            chosen = action or (left[-1] if left else "")
            edits = [edit for edit in self._edits if edit.action == chosen != ""]
            if not edits or chosen in undone:
                msg = "there is nothing to undo."
                raise InvalidArgumentError(msg)
            standing = [edit for edit in edits if self._stands(edit)]
            if len(standing) < len(edits):
                msg = f"{len(edits) - len(standing)} of {len(edits)} edits were edited again since."
                raise InvalidArgumentError(msg)
            taking_back = [self._reverse(edit, chosen) for edit in edits]
            self._journal.add(taking_back)
            self.refresh()
            return taking_back

    def _check_writable(self, count: int) -> None:
        if self.read_only:
            msg = "this explorer was started with --read-only."
            raise InvalidArgumentError(msg)
        if not 0 < count <= MOST_AT_ONCE:
            msg = f"{count:,} changes; between one and {MOST_AT_ONCE:,} can be made at once."
            raise InvalidArgumentError(msg)

    def _rows(self, table: Table, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return rows by id, as the steps wrote them; each has an image."""
        own = _written(self._tables, table, list(dict.fromkeys(ids)))
        for row_id in ids:
            if row_id not in own:
                msg = f"there is no row {row_id!r}."
                raise InvalidArgumentError(msg)
            if own[row_id][KEY] is None:
                msg = f"row {row_id} has no image, by which an edit could be kept."
                raise InvalidArgumentError(msg)
        return own

    def _check_seen(self, row: Mapping[str, Any], change: Change) -> None:
        own = self._own_cell(row, change.field)
        cell = own if own and own.stands else self._cells.get((row[KEY], change.field))
        if set(cell.ids if cell else ()) != set(change.after):
            raise EditedMeanwhileError({change.field: cell} if cell else {})

    def _own_cell(self, row: Mapping[str, Any], field: str) -> Cell | None:
        """Return the cell that belongs to a row's caption alone, if there is one."""
        return self._cells.get((row[KEY], text_cell(row[TEXT]))) if field == CAPTION else None

    def _edit(
        self,
        table: Table,
        row: Mapping[str, Any],
        change: Change,
        action: str,
        several: Collection[str],
    ) -> Edit:
        written = row[TEXT] if change.field == CAPTION else row.get(change.field)
        beneath = written if isinstance(written, str | bool) else None
        if change.field == ACCEPTED:  # the caption is accepted as it was shown
            beneath = row["shown_caption"]
        own = self._own_cell(row, change.field)
        return Edit(
            id=new_id(),
            at=now(),
            by=self._who,
            image=row[KEY],
            field=change.field,
            value=change.value,
            after=tuple(dict.fromkeys([*change.after, *(own.ids if own else ())])),
            beneath=beneath,
            action=action,
            dataset=table.manifest.location,
            row=row["id"],
            of_text=change.field == CAPTION and (own is not None or row[KEY] in several),
        )

    def _stands(self, edit: Edit) -> bool:
        """Return whether a cell holds an edit's value, also if later edits were undone."""
        return any(self._origin(head) is edit for head in self._cells[edit.cell].heads)

    def _origin(self, edit: Edit) -> Edit | None:
        """Return the edit whose value this one restores, or itself if it sets a new value."""
        own = [one for one in self._edits if one.cell == edit.cell]
        current: Edit | None = edit
        while current is not None and current.undoes:
            taken = next((one for one in own if one.action == current.undoes), None)
            before = taken.after if taken else ()
            current = next((one for one in own if one.id in before), None)
        return current

    def _reverse(self, edit: Edit, action: str) -> Edit:
        """Return the edit that undoes one: it restores the previous value."""
        # Only edits of the same cell: an edit of the image shows again where the text has none.
        before = {one.id: one for one in self._edits if one.cell == edit.cell}
        heads = sorted((before[i] for i in edit.after if i in before), key=lambda one: one.at)
        return Edit(
            id=new_id(),
            at=now(),
            by=self._who,
            image=edit.image,
            field=edit.field,
            value=heads[0].value if heads else None,
            after=self._cells[edit.cell].ids,
            beneath=heads[0].beneath if heads else edit.beneath,
            of_text=edit.of_text,
            action=new_id() if not action else f"undo-{action}",
            undoes=action,
            dataset=edit.dataset,
            row=edit.row,
        )


def _written(tables: Tables, table: Table, ids: list[str]) -> dict[str, dict[str, Any]]:
    """Return rows by id: the editable fields as the steps wrote them, and the caption as shown."""
    columns = ["id", KEY, *(name for name in (CAPTION, SPLIT) if name in table.written)]
    listed = ", ".join(f"r.{quoted(name)}" for name in columns)
    shown = "s.caption" if table.has_captions else "NULL"
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(ids), 1000):
        part = ids[start : start + 1000]
        marks = ", ".join("?" for _ in part)
        sql = (
            f"SELECT {listed}, s.{TEXT}, {shown} AS shown_caption FROM {table.rows} r "
            f"JOIN {table.shown} s ON r.id = s.id WHERE r.id IN ({marks})"
        )
        found |= {row["id"]: row for row in tables.rows(sql, part)}
    return found


def _with_several_captions(tables: Tables, table: Table, images: Sequence[str]) -> set[str]:
    """Return the images whose rows have different captions."""
    sql = (
        f'SELECT "{KEY}" AS image FROM {table.shown} '
        f'WHERE "{KEY}" IN (SELECT unnest(?::VARCHAR[])) '
        f"GROUP BY ALL HAVING count(DISTINCT coalesce({TEXT}, '')) > 1"
    )
    return {row["image"] for row in tables.rows(sql, [list(images)])} if images else set()


def changes_of(content: Any) -> list[Change]:
    """Return the changes in a request.

    Raises:
        InvalidArgumentError: the request is malformed.
    """
    changes = content.get("changes") if isinstance(content, dict) else None
    if not isinstance(changes, list):
        msg = "the request names no changes."
        raise InvalidArgumentError(msg)
    return [_change(one) for one in changes]


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _change(content: Any) -> Change:
    after = content.get("after", []) if isinstance(content, dict) else None
    if not _are_texts(after) or not all(
        isinstance(content.get(name), str) for name in ("row", "field")
    ):
        msg = "a change must name its row, field and value, and the edits after which it comes."
        raise InvalidArgumentError(msg)
    return Change(content["row"], content["field"], content.get("value"), tuple(after or ()))
