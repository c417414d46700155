"""Edits as a table that is joined to the rows, to show them as edited."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from image_toolkit.edits.cells import Cell, by_image, cells_of, tags_of
from image_toolkit.edits.edit import (
    ACCEPTED,
    CAPTION,
    DROPPED,
    WRITTEN_CAPTION,
    Edit,
    text_of,
)
from image_toolkit.training.splits import SPLIT

EDITS_TABLE: Final = "data.edits"

TEXT: Final = "_text"
"""The column with a row's caption as the steps wrote it, which tells an image's captions apart."""

_TEXTS: Final = pa.map_(pa.string(), pa.string())

_SCHEMA: Final = pa.schema(
    [
        pa.field("image", pa.string()),
        pa.field("caption", pa.string()),
        pa.field("captions", _TEXTS),
        pa.field("dropped", pa.bool_()),
        pa.field("split", pa.string()),
        pa.field("accepted", pa.bool_()),
        pa.field("accepted_caption", pa.string()),
        pa.field("added", pa.list_(pa.string())),
        pa.field("removed", pa.list_(pa.string())),
        pa.field("conflict", pa.bool_()),
    ]
)


def overlay_table(edits: Sequence[Edit]) -> pa.Table:
    """Return the resulting values of edits, one row per edited image."""
    cells = by_image(cells_of(edits))
    rows = [{"image": image} | _row(own) for image, own in cells.items()]
    return pa.Table.from_pylist(rows, _SCHEMA)


def shown_columns(columns: Mapping[str, str], key: str) -> tuple[str, dict[str, str]]:
    """Return the SELECT list for rows (`r`) with their edits (`e`), and the resulting columns.

    A row is `accepted` as long as it has the caption that was accepted.
    """
    own = {name: kind for name, kind in columns.items() if name != key}
    selected = {name: f"r.{quoted(name)}" for name in own}
    kinds = dict(own)
    if own.get(CAPTION) == "VARCHAR":
        written = selected[CAPTION]
        text = selected[WRITTEN_CAPTION] if own.get(WRITTEN_CAPTION) == "VARCHAR" else written
        shown = f"coalesce(e.captions[coalesce({text}, '')], e.caption, {written})"
        selected[CAPTION] = shown
        selected["caption_edited"] = f"{shown} IS DISTINCT FROM {written}"
        same = f"{shown} IS NOT DISTINCT FROM e.accepted_caption"
    else:
        text = "NULL::VARCHAR"
        selected["caption_edited"] = "false"
        same = "true"
    given = "r.tags" if own.get("tags") == "VARCHAR[]" else "[]::VARCHAR[]"
    if own.get("tags", "VARCHAR[]") == "VARCHAR[]":
        together = f"list_concat(coalesce({given}, []), coalesce(e.added, []))"
        removed = "coalesce(e.removed, []::VARCHAR[])"
        selected["tags"] = (
            f"CASE WHEN e.image IS NULL THEN {given} ELSE list_filter(list_sort(list_distinct("
            f"{together})), lambda t: NOT list_contains({removed}, t)) END"
        )
    split = "r.split" if own.get("split") == "VARCHAR" else "NULL"
    selected["split"] = f"coalesce(e.split, {split})"
    selected["dropped"] = "coalesce(e.dropped, false)"
    selected["accepted"] = f"coalesce(e.accepted, false) AND {same}"
    selected["conflict"] = "coalesce(e.conflict, false)"
    kinds |= {"tags": kinds.get("tags", "VARCHAR[]"), "split": "VARCHAR"}
    kinds |= dict.fromkeys(("caption_edited", "dropped", "accepted", "conflict"), "BOOLEAN")
    selected[key] = f"r.{quoted(key)}"
    selected[TEXT] = text
    kinds |= {key: "VARCHAR", TEXT: "VARCHAR"}
    listed = ", ".join(f"{expression} AS {quoted(name)}" for name, expression in selected.items())
    return listed, {name: kinds[name] for name in selected}


def quoted(name: str) -> str:
    """Return a column's name, quoted for SQL."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def _row(cells: Mapping[str, Cell]) -> dict[str, Any]:
    values = {field: cell.value for field, cell in cells.items()}
    texts = {text_of(field): value for field, value in values.items() if value is not None}
    added, removed = tags_of(cells)
    accepted = cells.get(ACCEPTED)
    return {
        "caption": values.get(CAPTION),
        "captions": [(text, value) for text, value in texts.items() if text is not None],
        "dropped": values.get(DROPPED),
        "split": values.get(SPLIT),
        "accepted": values.get(ACCEPTED),
        "accepted_caption": accepted and accepted.edit.beneath,
        "added": added,
        "removed": removed,
        "conflict": any(cell.rivals for cell in cells.values()),
    }
