"""Converting rows of a source to rows of a pipeline: ids, names, images with sizes, fields."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
from image_cells import BadCellError, image_bytes, path_of
from loaded_rows import Cells, Chunk, Fault, Source
from text_types import is_text
from typed_cells import Number, named_classes, plain_array, typed

from fondant_spec.dataset.partitions import row_id
from image_toolkit.images.decoding import image_size
from image_toolkit.images.image_errors import NotAnImageError
from image_toolkit.text_encodings import printable

FILE_NAME: Final = "file_name"
IMAGE_FIELDS: Final = {
    "image": pa.binary(),
    "image_width": pa.int32(),
    "image_height": pa.int32(),
    FILE_NAME: pa.string(),
}
"""The fields of the main image; all null if a source has none."""

_PIECE_BYTES: Final = 16 << 20

Reject = Callable[[str, str, str], object]
"""Called with the id, the reason and the message of a row that cannot be used."""


@dataclass
class RowReader:
    """Converts chunks of a source to batches of a pipeline; bad rows become rejects.

    `images` and `others` map the requested fields to their columns: the first are read as image
    bytes, the field `image` with its size; the others are converted to their declared `types`.
    `index_column` holds the row ids; without one, rows are numbered. `name_column` holds the name
    of a row's file; without one, it is the path of the image, if that has one.
    """

    source: Source
    images: Mapping[str, str]
    others: Mapping[str, str]
    types: Mapping[str, pa.DataType]
    index_column: str | None = None
    name_column: str = FILE_NAME
    _seen: set[str] = field(default_factory=set)

    @property
    def columns(self) -> list[str]:
        """The columns to read from the source."""
        index = [self.index_column] if self.index_column else []
        name = [self.name_column] if self.name_column in self.source.columns else []
        return sorted({*self.images.values(), *self.others.values(), *index, *name})

    def read(self, chunk: Chunk, start: int, reject: Reject) -> Iterator[pa.RecordBatch]:
        """Yield the good rows of a chunk, split so that their images stay within bounds.

        `start` is the number of its first row in the source.
        """
        others, faults = self._others(chunk)
        needed = {*self.images.values(), self.index_column, self.name_column}
        columns = {c: _plain(cells) for c, cells in chunk.cells.items() if c in needed}
        good: dict[int, dict[str, Any]] = {}
        held = 0
        for offset, name in enumerate(chunk.names):
            row = {column: _cell(cells[offset]) for column, cells in columns.items()}
            made = self._row(row, faults.get(offset), start + offset)
            if isinstance(made, Fault):
                id_ = self._reject_id(row, start + offset)
                reject(id_, made.reason, f"{name}: {made.message}")
                continue
            good[offset] = made
            held += sum(len(made[field_] or b"") for field_ in self.images)
            if held >= _PIECE_BYTES:
                yield self._assembled(good, others)
                good, held = {}, 0
        if good:
            yield self._assembled(good, others)

    def _others(self, chunk: Chunk) -> tuple[dict[str, pa.Array], dict[int, Fault]]:
        arrays: dict[str, pa.Array] = {}
        faults = dict(chunk.faults)
        for name, column in self.others.items():
            cells: Cells = chunk.cells[column]
            classes = self.source.classes.get(column)
            named = classes and is_text(self.types[name])
            if named and isinstance(cells, pa.Array) and pa.types.is_integer(cells.type):
                cells, wrong = named_classes(cells, classes or ())
            else:
                wrong = {}
            arrays[name], problems = typed(cells, self.types[name])
            problems = {**problems, **wrong}
            for row, problem in problems.items():
                faults.setdefault(row, Fault("bad_value", f"{column}: {problem}"))
        return arrays, faults

    def _row(self, cells: Mapping[str, Any], fault: Fault | None, number: int) -> Any:
        """Return a row's id, name and images, or its fault."""
        if fault is not None:
            return fault
        id_ = self._id(cells, number)
        if isinstance(id_, Fault):
            return id_
        try:
            row = {"id": id_, FILE_NAME: self._file_name(cells), **self._read_images(cells)}
        except (BadCellError, NotAnImageError) as bad:
            return Fault(bad.reason, bad.message)
        self._seen.update([id_] if self.index_column else [])
        return row

    def _reject_id(self, cells: Mapping[str, Any], number: int) -> str:
        """Return an id for a rejected row, different from that of any row that is kept.

        With an index column, its row number could be mistaken for an id of that column.
        """
        id_ = self._id(cells, number)
        return id_ if isinstance(id_, str) else f"row {number}"

    def _id(self, cells: Mapping[str, Any], number: int) -> str | Fault:
        if self.index_column is None:
            return row_id(number)
        value = cells[self.index_column]
        if value is None or value == "":
            return Fault("no_id", f"the row has no {self.index_column}")
        try:
            whole = isinstance(value, int | Number) and not isinstance(value, bool)
            id_ = row_id(int(value)) if whole else str(value)
            id_.encode()
        except ValueError:
            return Fault("no_id", f"{value!r} cannot be an id")
        if not isinstance(value, int | str):
            return Fault("no_id", f"{value!r} is neither a text nor a whole number")
        if id_ in self._seen:
            return Fault("duplicate_id", f"the row repeats the {self.index_column} {value!r}")
        return id_

    def _file_name(self, cells: Mapping[str, Any]) -> str | None:
        column = self.images.get("image")
        name = cells.get(self.name_column) or (path_of(cells[column]) if column else None)
        return printable(name) if isinstance(name, str) else None

    def _read_images(self, cells: Mapping[str, Any]) -> dict[str, Any]:
        row: dict[str, Any] = {}
        for name, column in self.images.items():
            cell = cells[column]
            if cell is None and name != "image":
                row[name] = None
                continue
            row[name] = image_bytes(cell, self.source.open_file)
            size = image_size(row[name])
            if name == "image":
                row["image_width"], row["image_height"] = size
        return row

    def _assembled(
        self, rows: dict[int, dict[str, Any]], others: Mapping[str, pa.Array]
    ) -> pa.RecordBatch:
        types = {"id": pa.string(), **dict.fromkeys(self.images, pa.binary()), **IMAGE_FIELDS}
        arrays = {
            name: pa.array([row.get(name) for row in rows.values()], type_)
            for name, type_ in types.items()
        }
        kept = pa.array(rows, pa.int64())
        arrays |= {name: column.take(kept) for name, column in others.items()}
        return pa.RecordBatch.from_pydict(arrays)


def _plain(cells: Cells) -> Cells:
    return plain_array(cells) if isinstance(cells, pa.Array) else cells


def _cell(cell: Any) -> Any:
    return cell.as_py() if isinstance(cell, pa.Scalar) else cell
