"""Applies manual corrections to the output of earlier steps."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
from edited_captions import waiting_edits

from fondant_spec.component import ArrowTransformComponent, RowContext, SetupContext
from fondant_spec.dataset import storage
from fondant_spec.errors import InputDataError
from fondant_spec.executor import execute
from image_toolkit.edits.cells import Cell, by_image, cells_of, for_text, with_tags
from image_toolkit.edits.edit import CAPTION, DROPPED, TAG, WRITTEN_CAPTION
from image_toolkit.edits.image_key import image_keys, key_field
from image_toolkit.edits.journal import Journal
from image_toolkit.training.splits import SPLIT

logger = logging.getLogger(__name__)

APPLIED: Final = "applied"
CHANGED: Final = "changed_beneath"
CONFLICT: Final = "conflict"

_TEXTS: Final = pa.list_(pa.string())
_SCHEMA: Final = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field(CAPTION, pa.string()),
        pa.field(WRITTEN_CAPTION, pa.string()),
        pa.field("tags", _TEXTS),
        pa.field("tag_weights", pa.list_(pa.float32())),
        pa.field(SPLIT, pa.string()),
        pa.field("edit_state", pa.string()),
    ]
)
_EDITED: Final = (CAPTION, "tags", "tag_weights", SPLIT)


class ApplyEdits(ArrowTransformComponent):
    """Changes the rows whose images were edited, and leaves out those that were dropped."""

    def __init__(self, *, edits: str, version: str = "", when_changed: str = "apply") -> None:
        self._folder = storage.normalize(edits)
        self._keeps_word = when_changed == "apply"

    def setup(self, context: SetupContext) -> None:
        """Read all edits.

        Raises:
            InputDataError: there are none, or rows have neither images nor hashes.
            InvalidDatasetError: a line is not an edit.
        """
        edits = Journal(self._folder).edits()
        if not edits:
            msg = f"apply_edits: {self._folder} holds no edits; leave the step out, or correct it."
            raise InputDataError(msg)
        if key_field(context.input_fields) is None:
            msg = (
                "apply_edits: the rows have neither `sha256` nor `image`, by which edits name them."
            )
            raise InputDataError(msg)
        self._images = by_image(cells_of(edits))
        self._waiting = waiting_edits(self._images, context)

    def transform(self, batch: pa.RecordBatch, context: RowContext) -> pa.RecordBatch:
        """Return the rows with all edits applied."""
        key = key_field(batch.schema.names)
        narrow = batch.select([name for name in batch.schema.names if name not in (key, "image")])
        rows = []
        for image, row in zip(
            image_keys(batch.column(key)).to_pylist(), narrow.to_pylist(), strict=True
        ):
            cells = for_text(self._images.get(image or "", {}), row.get(CAPTION))
            dropped = cells.get(DROPPED)
            if dropped is not None and dropped.value:
                edit = dropped.edit
                context.rejects.filter(row["id"], DROPPED, f"by {edit.by}, {edit.at}")
            else:
                waiting = self._waiting.get(image or "", []) if CAPTION not in cells else []
                rows.append(self._edited(row, cells, waiting))
        return pa.RecordBatch.from_pylist(rows, _SCHEMA)

    def _edited(
        self, row: Mapping[str, Any], cells: Mapping[str, Cell], waiting: Sequence[Cell]
    ) -> dict[str, Any]:
        edited = {field.name: row.get(field.name) for field in _SCHEMA}
        edited[WRITTEN_CAPTION] = row.get(CAPTION)
        caption, split = cells.get(CAPTION), cells.get(SPLIT)
        states = [CONFLICT for cell in cells.values() if cell.rivals]
        for cell in waiting:
            states.append(CHANGED)
            _tell_waiting(row, cell)
        if caption is not None and caption.value is not None:
            if row.get(CAPTION) not in (caption.edit.beneath, caption.value):
                states.append(CHANGED)
                self._tell_changed(row, caption)
            if CHANGED not in states or self._keeps_word:
                edited[CAPTION] = caption.value
        if split is not None and split.value is not None:
            edited[SPLIT] = split.value
        if any(field.startswith(TAG) for field in cells):
            edited |= _tags(row, cells)
        if states or any(edited[name] != row.get(name) for name in _EDITED):
            edited["edit_state"] = next(iter(states), APPLIED)
        return edited

    def _tell_changed(self, row: Mapping[str, Any], cell: Cell) -> None:
        done = "the edit stands" if self._keeps_word else "the new caption is taken"
        logger.warning(
            "row %s: %s edited another caption than it has now; %s", row["id"], cell.edit.by, done
        )


def _tell_waiting(row: Mapping[str, Any], cell: Cell) -> None:
    logger.warning(
        "row %s: %s edited a caption of its image that no row has now (%r); the edit waits for it",
        row["id"],
        cell.edit.by,
        cell.edit.beneath,
    )


def _tags(row: Mapping[str, Any], cells: Mapping[str, Cell]) -> dict[str, Any]:
    """Return the tags after the edits, and their weights if the row had weights."""
    own = row.get("tags") or []
    tags = with_tags(own, cells)
    weights = row.get("tag_weights")
    if not weights or len(weights) != len(own):
        return {"tags": tags}
    known = dict(zip(reversed(own), reversed(weights), strict=True))  # the first duplicate wins
    return {"tags": tags, "tag_weights": [known.get(tag, 1.0) for tag in tags]}


if __name__ == "__main__":
    execute(ApplyEdits)
