"""Rows by number: few rows out of many Parquet or Arrow files, in bounded memory."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fondant_spec.dataset.parquet_bounds import check_unpacked
from fondant_spec.dataset.parquet_pages import open_checked
from fondant_spec.errors import InputDataError
from image_toolkit.retrieval.search.hits import IntArray

_CACHE_BYTES: Final = 512 << 20


@dataclass(frozen=True)
class _Piece:
    """A run of rows that is read at once: a row group, or a batch of a memory-mapped file."""

    rows: int
    read: Callable[[list[str]], pa.Table]


class Rows:
    """The rows of a list of files, or of several such `parts`, numbered consecutively. Thread-safe.

    Parquet row groups are cached, up to 512 MiB, so that metadata of any size is served in bounded
    memory and small metadata is read once. Arrow files are memory-mapped.
    """

    def __init__(self, files: Sequence[Path] = (), parts: Sequence["Rows"] = ()) -> None:
        found: list[tuple[pa.Schema, list[_Piece]]] = [
            *map(_pieces, files),
            *((part.schema, part.pieces) for part in parts),
        ]
        self.schema: pa.Schema = _joined([schema for schema, _ in found])
        self.file_rows = [sum(piece.rows for piece in pieces) for _, pieces in found]
        self.pieces: list[_Piece] = [piece for _, pieces in found for piece in pieces]
        starts = accumulate((piece.rows for piece in self.pieces), initial=0)
        self._starts = np.fromiter(starts, np.int64)
        self._cache: OrderedDict[tuple[int, tuple[str, ...]], pa.Table] = OrderedDict()
        self._cached_bytes = 0
        self._lock = Lock()

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self._starts[-1])

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns."""
        return tuple(self.schema.names)

    def take(self, ids: IntArray, columns: Sequence[str]) -> pa.Table:
        """Return the rows numbered `ids`, in that order."""
        schema = pa.schema([self.schema.field(name) for name in columns])
        order = np.argsort(ids, kind="stable")
        sorted_ids = ids[order]
        piece_of = np.searchsorted(self._starts, sorted_ids, side="right") - 1
        tables = [schema.empty_table()]
        for piece in np.unique(piece_of):
            local = sorted_ids[piece_of == piece] - self._starts[piece]
            tables.append(self._read(int(piece), tuple(columns)).take(pa.array(local)))
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        found = pa.concat_tables(tables, promote_options="permissive").combine_chunks()
        return found.take(pa.array(back))

    def _read(self, piece: int, columns: tuple[str, ...]) -> pa.Table:
        key = (piece, columns)
        with self._lock:
            table = self._cache.get(key)
            if table is not None:
                self._cache.move_to_end(key)
                return table
        table = self.pieces[piece].read(list(columns))
        with self._lock:
            if key not in self._cache:
                self._cached_bytes += table.nbytes
            self._cache[key] = table
            while self._cached_bytes > _CACHE_BYTES and len(self._cache) > 1:
                self._cached_bytes -= self._cache.popitem(last=False)[1].nbytes
        return table


def _joined(schemas: Sequence[pa.Schema]) -> pa.Schema:
    try:
        return pa.unify_schemas([pa.schema([]), *schemas], promote_options="permissive")
    except (pa.ArrowTypeError, pa.ArrowInvalid) as error:
        msg = f"the files of an index's metadata differ in the types of their columns ({error})."
        raise InputDataError(msg) from error


def _pieces(file: Path) -> tuple[pa.Schema, list[_Piece]]:
    try:
        return _parquet_pieces(file) if file.suffix == ".parquet" else _arrow_pieces(file)
    except (OSError, pa.ArrowInvalid) as error:
        msg = f"{file}: is no {file.suffix[1:]} file that can be read ({error})."
        raise InputDataError(msg) from error


def _parquet_pieces(file: Path) -> tuple[pa.Schema, list[_Piece]]:
    metadata = pq.read_metadata(file)
    check_unpacked(str(file), metadata)
    pieces = [
        _Piece(metadata.row_group(i).num_rows, partial(_read_row_group, file, i))
        for i in range(metadata.num_row_groups)
    ]
    return _without_views(metadata.schema.to_arrow_schema().remove_metadata()), pieces


def _read_row_group(file: Path, number: int, columns: list[str]) -> pa.Table:
    with open_checked(file, str(file)) as parquet:
        present = [name for name in columns if name in parquet.schema_arrow.names]
        table = parquet.read_row_group(number, columns=present)
        rows = parquet.metadata.row_group(number).num_rows
    return _complete(table, columns, rows)


def _arrow_pieces(file: Path) -> tuple[pa.Schema, list[_Piece]]:
    reader = pa.ipc.open_file(pa.memory_map(str(file)))
    batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
    pieces = [_Piece(batch.num_rows, partial(_select, batch)) for batch in batches]
    return _without_views(reader.schema.remove_metadata()), pieces


def _select(batch: pa.RecordBatch, columns: list[str]) -> pa.Table:
    present = [name for name in columns if name in batch.schema.names]
    return _complete(pa.table(batch.select(present)), columns, batch.num_rows)


def _complete(table: pa.Table, columns: list[str], rows: int) -> pa.Table:
    """Return `table` with nulls for columns that this file lacks and others have."""
    arrays = [table[n] if n in table.schema.names else pa.nulls(rows) for n in columns]
    table = pa.table(arrays, names=columns)
    return table.cast(_without_views(table.schema))


def _without_views(schema: pa.Schema) -> pa.Schema:
    """Return a schema with ordinary string types: Arrow cannot `take` from string views."""
    for place, field in enumerate(schema):
        if pa.types.is_string_view(field.type):
            schema = schema.set(place, field.with_type(pa.large_string()))
        elif pa.types.is_binary_view(field.type):
            schema = schema.set(place, field.with_type(pa.large_binary()))
    return schema
