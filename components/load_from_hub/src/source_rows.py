"""Rows of a source to rows of a pipeline: ids, image bytes and sizes, everything else as it is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import datasets
import pyarrow as pa
import pyarrow.compute as pc
from dataset_sources import Source
from image_cells import BadCellError, image_bytes

from fondant_spec.dataset.partitions import row_id
from fondant_spec.dataset.rejects import Rejects
from image_toolkit.images.decoding import NotAnImageError, image_size

IMAGE_FIELDS: Final = {"image": pa.binary(), "image_width": pa.int32(), "image_height": pa.int32()}
"""The fields of the main image; null throughout where a source has none."""

_PIECE_BYTES: Final = 16 << 20


@dataclass
class RowReader:
    """Turns batches of a source into batches of a pipeline; bad rows become rejects.

    `images` and `others` map the fields wanted to the columns they come from: the first are read as
    image bytes, the field `image` with its size; the others are passed on. `index_column` holds the
    row ids; without one, rows are numbered.
    """

    source: Source
    images: Mapping[str, str]
    others: Mapping[str, str]
    index_column: str | None = None
    _seen: set[str] = field(default_factory=set)

    @property
    def columns(self) -> list[str]:
        """The columns of the source that are read."""
        index = [self.index_column] if self.index_column else []
        return sorted({*self.images.values(), *self.others.values(), *index})

    def read(self, batch: pa.RecordBatch, start: int, rejects: Rejects) -> Iterator[pa.RecordBatch]:
        """Yield the good rows of a batch, cut so that their images stay within bounds.

        `start` is the number of its first row in the source.
        """
        good: dict[int, dict[str, Any]] = {}
        held = 0
        for offset in range(len(batch)):
            row = self._row(batch, offset, start + offset, rejects)
            if row is None:
                continue
            good[offset] = row
            held += sum(len(row[name] or b"") for name in self.images)
            if held >= _PIECE_BYTES:
                yield self._assembled(batch, good)
                good, held = {}, 0
        if good:
            yield self._assembled(batch, good)

    def _row(
        self, batch: pa.RecordBatch, offset: int, number: int, rejects: Rejects
    ) -> dict[str, Any] | None:
        id_ = self._id(batch, offset, number, rejects)
        if id_ is None:
            return None
        try:
            row = {"id": id_, **self._read_images(batch, offset)}
        except (BadCellError, NotAnImageError) as bad:
            rejects.add(id_, bad.reason, bad.message)
            return None
        self._seen.update([id_] if self.index_column else [])
        return row

    def _id(self, batch: pa.RecordBatch, offset: int, number: int, rejects: Rejects) -> str | None:
        if self.index_column is None:
            return row_id(number)
        value = batch.column(self.index_column)[offset].as_py()
        if value is None or value == "":
            rejects.add(row_id(number), "no_id", f"row {number} has no {self.index_column}")
            return None
        id_ = value if isinstance(value, str) else row_id(value)
        if id_ in self._seen:
            message = f"row {number} repeats the {self.index_column} {value!r}"
            rejects.add(row_id(number), "duplicate_id", message)
            return None
        return id_

    def _read_images(self, batch: pa.RecordBatch, offset: int) -> dict[str, Any]:
        row: dict[str, Any] = {}
        for name, column in self.images.items():
            cell = batch.column(column)[offset].as_py()
            if cell is None and name != "image":
                row[name] = None
                continue
            row[name] = image_bytes(cell, self.source.root)
            size = image_size(row[name])
            if name == "image":
                row["image_width"], row["image_height"] = size
        return row

    def _assembled(self, batch: pa.RecordBatch, rows: dict[int, dict[str, Any]]) -> pa.RecordBatch:
        types = {"id": pa.string(), **dict.fromkeys(self.images, pa.binary()), **IMAGE_FIELDS}
        arrays = {
            name: pa.array([row.get(name) for row in rows.values()], type_)
            for name, type_ in types.items()
        }
        kept = pa.array(rows, pa.int64())
        for name, column in self.others.items():
            arrays[name] = _plain(batch.column(column), self.source.features[column]).take(kept)
        return pa.RecordBatch.from_pydict(arrays)


def _plain(column: pa.Array, feature: Any) -> pa.Array:
    """Return a column as components expect it: classes by name, without extension types."""
    if isinstance(feature, datasets.ClassLabel):
        names = pa.array(feature.names, pa.string())
        return names.take(pc.if_else(pc.less(column, 0), None, column))
    return column.storage if isinstance(column.type, pa.ExtensionType) else column
