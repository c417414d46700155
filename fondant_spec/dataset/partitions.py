"""Reading one partition, a record batch at a time.

Partition *k* of every field of a dataset has the same file name, so a field is found by the folder
that the manifest names, and nothing is ever joined: where the ids of two files are equal, the rows
are zipped; where a later step left some out, rows are taken by position.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fondant_spec.dataset import storage
from fondant_spec.dataset.layout import partition_file
from fondant_spec.dataset.manifest import Field
from fondant_spec.dataset.parquet_bounds import check_unpacked
from fondant_spec.dataset.parquet_pages import open_checked
from fondant_spec.errors import InvalidDatasetError

if TYPE_CHECKING:
    import numpy.typing as npt

BATCH_BYTES: Final = 16 << 20
MOST_BATCH_ROWS: Final = 4096
ROW_ID_WIDTH: Final = 12


def row_id(number: int) -> str:
    """Return the id of row `number` of a source: fixed width, unique, sortable."""
    return f"{number:0{ROW_ID_WIDTH}d}"


def read_batches(
    inputs: Mapping[str, Field],
    index_location: str,
    partition: str,
    batch_rows: int | None = None,
    branches: Sequence[str] = (),
    only: pa.Array | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of one partition: `id`, then each input under its key in `inputs`.

    The rows are those of `read_ids`, or `only` those of them with the ids given, and have the types
    that `inputs` say: Parquet has no seconds of a day, and one kind of date. Only the columns
    asked for are read, from the files that hold them. A batch holds about 16 MB at most, and
    `batch_rows` rows where that is given.

    Raises:
        InvalidDatasetError: a file is missing or broken, or lacks rows or columns that it should
            have, or has them of other types.
    """
    ids = read_ids(index_location, partition, branches)
    whole = only is None and not branches
    if only is not None:
        ids = ids.filter(pc.is_in(ids, value_set=only))
    by_location: dict[str, dict[str, str]] = {}
    for name, field in inputs.items():
        by_location.setdefault(field.location, {})[name] = field.name
    sources = [
        _FileColumns(
            location, partition, columns, None if whole and location == index_location else ids
        )
        for location, columns in by_location.items()
    ]
    row_bytes = sum(source.row_bytes for source in sources)
    rows = min(batch_rows or MOST_BATCH_ROWS, max(1, int(BATCH_BYTES // max(row_bytes, 1))))
    names = ["id", *inputs]
    for start in range(0, len(ids), rows):
        part = ids.slice(start, rows)
        columns: dict[str, pa.Array] = {"id": part}
        for source in sources:
            columns |= source.take(start, len(part))
        for name, field in inputs.items():
            columns[name] = _typed(columns[name], field)
        yield pa.RecordBatch.from_arrays([columns[name] for name in names], names=names)


def read_ids(location: str, partition: str, branches: Sequence[str] = ()) -> pa.Array:
    """Return the ids of a partition, as one array.

    `branches` are the locations of the other branches where some are joined: each may have left out
    other rows, and only those that are in all of them count.
    """
    paths = [partition_file(place, partition) for place in (location, *branches)]
    ids, *others = [_ids_of(open_partition(path, ["id"]), path) for path in paths]
    for other in others:
        if not other.equals(ids):
            ids = ids.filter(pc.is_in(ids, value_set=other))
    return ids


class _FileColumns:
    """The columns that one file contributes, read forward only.

    `columns` maps the name wanted to the name in the file. `ids` are the rows wanted, or None for
    all rows as they come.
    """

    def __init__(
        self,
        location: str,
        partition: str,
        columns: Mapping[str, str],
        ids: pa.Array | None,
    ) -> None:
        self._columns = columns
        self._path = partition_file(location, partition)
        self._wanted = list(dict.fromkeys(columns.values()))
        self._file = open_partition(self._path, ["id", *self._wanted])
        self._positions = None if ids is None else self._locate(ids)
        self._batch: pa.RecordBatch | None = None
        self._batch_start = 0
        self._batches: Iterator[pa.RecordBatch] | None = None

    @property
    def row_bytes(self) -> float:
        """The mean size of a row of the wanted columns, uncompressed."""
        metadata = self._file.metadata
        wanted = set(self._wanted)
        total = 0
        for group in range(metadata.num_row_groups):
            chunks = metadata.row_group(group)
            for index in range(chunks.num_columns):
                column = chunks.column(index)
                if column.path_in_schema in wanted or column.path_in_schema.split(".")[0] in wanted:
                    total += column.total_uncompressed_size
        return float(total / max(metadata.num_rows, 1))

    def take(self, start: int, length: int) -> dict[str, pa.Array]:
        """Return rows `start` to `start + length` of those wanted."""
        if self._positions is None:
            wanted = np.arange(start, start + length)
        else:
            wanted = self._positions[start : start + length]
        parts = []
        while len(wanted):
            batch = self._batch_that_holds(wanted[0])
            here = wanted[: np.searchsorted(wanted, self._batch_start + len(batch))]
            parts.append(_take(batch, here - self._batch_start))
            wanted = wanted[len(here) :]
        table = pa.Table.from_batches(parts)
        return {name: _one_array(table.column(source)) for name, source in self._columns.items()}

    def _batch_that_holds(self, position: int) -> pa.RecordBatch:
        if self._batches is None:
            size = max(1, min(MOST_BATCH_ROWS, int(BATCH_BYTES // max(self.row_bytes, 1))))
            self._batches = self._file.iter_batches(batch_size=size, columns=self._wanted)
        while self._batch is None or position >= self._batch_start + len(self._batch):
            self._batch_start += len(self._batch) if self._batch is not None else 0
            with _reading(self._path):
                self._batch = next(self._batches)
        return self._batch

    def _locate(self, ids: pa.Array) -> "npt.NDArray[np.int64] | None":
        own = _ids_of(self._file, self._path)
        if own.equals(ids):
            return None
        positions = pc.index_in(ids, value_set=own)
        if positions.null_count:
            lost = ids.filter(positions.is_null())[0].as_py()
            msg = f"{self._path}: has no row {lost!r}, which the index has; run the step again."
            raise InvalidDatasetError(msg)
        rows: npt.NDArray[np.int64] = positions.to_numpy().astype(np.int64)
        if (np.diff(rows) <= 0).any():
            msg = f"{self._path}: its rows are in another order than the index; run the step again."
            raise InvalidDatasetError(msg)
        return rows


def open_partition(path: str, columns: list[str] | None = None) -> pq.ParquetFile:
    """Open a partition's file, which must have these columns; all are read where none are named.

    Raises:
        InvalidDatasetError: it is missing or broken, or lacks a column.
        InputDataError: it unpacks to far more than its bytes. Reading raises it, too.
    """
    with _reading(path):
        # Reading ahead keeps all that was read until the file is closed, so it is left to disks.
        ahead = not storage.is_remote(path)
        file = open_checked(storage.open_input(path), path, pre_buffer=ahead)
    check_unpacked(path, file.metadata, columns)
    missing = [name for name in columns or () if name not in file.schema_arrow.names]
    if missing:
        msg = f"{path}: has no column {', '.join(missing)}; run the step that wrote it again."
        raise InvalidDatasetError(msg)
    return file


@contextmanager
def _reading(path: str) -> Iterator[None]:
    """Name the file, and what to do, in what may go wrong."""
    try:
        yield
    except FileNotFoundError:
        msg = f"{path}: the file is missing; run the step that wrote it again."
        raise InvalidDatasetError(msg) from None
    except (pa.ArrowException, OSError) as error:
        msg = f"{path}: is damaged ({error}); remove it, and run the step that wrote it again."
        raise InvalidDatasetError(msg) from None


def _ids_of(file: pq.ParquetFile, path: str) -> pa.Array:
    with _reading(path):
        return _one_array(file.read(columns=["id"]).column("id"))


def _typed(column: pa.Array, field: Field) -> pa.Array:
    """Return a column as its manifest has it."""
    if column.type.equals(field.type):
        return column
    with _reading(f"{field.location}: field {field.name!r}"):
        return column.cast(field.type)


def _take(batch: pa.RecordBatch, rows: "npt.NDArray[np.int64]") -> pa.RecordBatch:
    """Return some rows, in order; without a copy where they lie side by side."""
    if rows[-1] - rows[0] + 1 == len(rows):
        return batch.slice(rows[0], len(rows))
    return batch.take(pa.array(rows))


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    if column.num_chunks == 0:
        return pa.array([], column.type)
    return pa.concat_arrays(column.chunks)
