"""Parquet and Arrow files, streamed: `datasets` would hold several row groups at a time."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from data_files import DataFile
from dataset_errors import explained
from loaded_rows import Chunk
from repeated_values import spelled_out

from fondant_spec.dataset.parquet_bounds import check_unpacked, column_chunks
from fondant_spec.dataset.parquet_pages import open_checked

_BUFFER_BYTES: Final = 1 << 20
_BATCH_BYTES: Final = 8 << 20
_REPEATED_BYTES: Final = 64 << 20
_PACKED_TIMES: Final = 1.2
"""Images do not compress further; a small part of any other column may unpack to a large one."""


@dataclass(frozen=True)
class _TypedTable(ABC):
    """A file with a schema."""

    file: DataFile

    @property
    def name(self) -> str:
        """The file's path."""
        return self.file.name

    def columns(self, wanted: Collection[str]) -> Mapping[str, pa.DataType]:
        """Return the columns and their types."""
        schema = self.schema()
        return dict(zip(schema.names, schema.types, strict=True))

    @abstractmethod
    def schema(self) -> pa.Schema:
        """Return the schema, including its metadata."""


@dataclass(frozen=True)
class ParquetTable(_TypedTable):
    """A Parquet file."""

    def schema(self) -> pa.Schema:
        """Return the schema, including its metadata."""
        with explained(self.name), pq.ParquetFile(self.file.seekable()) as file:
            return file.schema_arrow

    def chunks(self, columns: Sequence[str], rows: int) -> Iterator[Chunk]:
        """Yield the rows; fewer at a time if they are large."""
        with explained(self.name):
            source = self.file.seekable()
            with pq.ParquetFile(source, pre_buffer=False, buffer_size=_BUFFER_BYTES) as file:
                most, plain = self._most_rows(file.metadata, columns, rows), file.schema_arrow
                repeated = _repeated(file.metadata, columns, most)
            with open_checked(
                self.file.seekable(),
                self.name,
                read_dictionary=repeated,
                pre_buffer=False,
                buffer_size=_BUFFER_BYTES,
            ) as file:
                batches = file.iter_batches(most, columns=list(columns))
                parts = (part for batch in batches for part in spelled_out(batch, plain))
                yield from _chunks(self.name, parts, columns)

    def _most_rows(self, metadata: pq.FileMetaData, columns: Collection[str], rows: int) -> int:
        """Return how many rows may be held at a time.

        Raises:
            InputDataError: a column unpacks to more than any real dataset.
        """
        check_unpacked(self.name, metadata, columns)
        groups = [metadata.row_group(n) for n in range(metadata.num_row_groups)]
        sizes = [g.total_byte_size / max(g.num_rows, 1) for g in groups]
        chunks = list(column_chunks(metadata, columns))
        repeats = [c.dictionary for c in chunks if c.repeats]
        repeats += [c.unpacked for c in chunks if c.prefixed]  # an upper bound for each text
        most = min(_BATCH_BYTES // max(*sizes, 1, 1), _REPEATED_BYTES // max(*repeats, 1, 1))
        return max(1, min(rows, int(most)))


def _repeated(metadata: pq.FileMetaData, columns: Collection[str], rows: int) -> list[str]:
    """Return the columns of which so many rows may repeat more bytes than should be held."""
    found = column_chunks(metadata, columns)
    far = (c for c in found if c.repeats and c.unpacked * rows > _REPEATED_BYTES)
    return sorted({c.path for c in far if c.unpacked > _PACKED_TIMES * c.packed})


@dataclass(frozen=True)
class ArrowTable(_TypedTable):
    """An Arrow file, or a stream of Arrow batches in a file."""

    def schema(self) -> pa.Schema:
        """Return the schema, including its metadata."""
        with explained(self.name), self.file.open() as file:
            return _reader(file).schema

    def chunks(self, columns: Sequence[str], rows: int) -> Iterator[Chunk]:
        """Yield the rows."""
        with explained(self.name), self.file.open() as file:
            reader = _reader(file)
            if isinstance(reader, pa.ipc.RecordBatchFileReader):
                batches = map(reader.get_batch, range(reader.num_record_batches))
            else:
                batches = iter(reader)
            parts = (b.slice(n, rows) for b in batches for n in range(0, len(b), rows))
            yield from _chunks(self.name, parts, columns)


def _reader(file: Any) -> Any:
    try:
        return pa.ipc.open_file(file)
    except pa.ArrowInvalid:
        file.seek(0)
        return pa.ipc.open_stream(file)


def _chunks(
    name: str, batches: Iterator[pa.RecordBatch], columns: Sequence[str]
) -> Iterator[Chunk]:
    start = 0
    for batch in batches:
        names = [f"{name} row {start + row}" for row in range(len(batch))]
        yield Chunk(names, {column: batch.column(column) for column in columns})
        start += len(batch)
