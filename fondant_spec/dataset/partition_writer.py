"""Writing one partition: rows are checked as they arrive, and the file appears once complete."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fondant_spec.dataset import storage
from fondant_spec.dataset.disk_space import check_space
from fondant_spec.dataset.layout import partition_file
from fondant_spec.dataset.manifest import Partition
from fondant_spec.dataset.row_sizes import row_sizes
from fondant_spec.errors import CardinalityError

ROW_GROUP_BYTES: Final = 32 << 20
ROW_GROUP_ROWS: Final = 1 << 16


class PartitionWriter:
    """Writes one partition: rows are checked as they arrive, and `close` makes the file appear.

    Its bytes depend only on the rows, not on how they are split into batches.
    """

    def __init__(self, location: str, name: str, schema: pa.Schema) -> None:
        self.name = name
        self.rows = 0
        self.bytes = 0
        self._path = partition_file(location, name)
        self._schema = schema
        self._ids: list[pa.Array] = []
        self._buffer: list[pa.RecordBatch] = []
        self._buffered_rows = self._buffered_bytes = 0
        self._context = storage.atomic_writer(self._path)
        self._output = self._context.__enter__()
        self._writer = pq.ParquetWriter(
            self._output,
            schema,
            compression=_compression(schema),
            use_dictionary=[f.name for f in schema if _is_wordy(f)],
            write_batch_size=_rows_at_once(schema),
        )

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows; the batch must have the writer's schema."""
        self._ids.append(batch.column("id"))
        self.rows += len(batch)
        self.bytes += batch.nbytes
        sizes = row_sizes(batch)
        while len(batch):
            bytes_so_far = self._buffered_bytes + np.cumsum(sizes)
            rows = min(
                int(np.searchsorted(bytes_so_far, ROW_GROUP_BYTES)) + 1,
                ROW_GROUP_ROWS - self._buffered_rows,
                len(batch),
            )
            self._buffer.append(batch.slice(0, rows))
            self._buffered_rows += rows
            self._buffered_bytes = int(bytes_so_far[rows - 1])
            if self._buffered_bytes >= ROW_GROUP_BYTES or self._buffered_rows >= ROW_GROUP_ROWS:
                self._flush()
            batch, sizes = batch.slice(rows), sizes[rows:]

    def close(self) -> Partition:
        """Finish the file and return its record.

        Raises:
            CardinalityError: an id is null or a duplicate.
        """
        ids = pa.chunked_array(self._ids, pa.string())
        _check_ids(ids, self._path)
        self._flush()
        self._writer.close()
        self._context.__exit__(None, None, None)
        bounds = pc.min_max(ids).as_py()
        return Partition(
            name=self.name,
            rows=self.rows,
            bytes=self._output.bytes_written,
            sha256=self._output.sha256,
            digest=self._output.sha256,
            first_id=bounds["min"],
            last_id=bounds["max"],
        )

    def abort(self, error: BaseException) -> None:
        """Discard the file."""
        try:
            self._writer.close()
        finally:
            self._context.__exit__(type(error), error, error.__traceback__)

    def _flush(self) -> None:
        if self._buffered_rows:
            check_space(self._path)
            # Pages end with a chunk, so there must be one; its sources are released first.
            table = pa.Table.from_batches(self._buffer, self._schema).combine_chunks()
            self._buffer.clear()
            self._writer.write_table(table)
        self._buffered_rows = self._buffered_bytes = 0


def write_table(location: str, name: str, table: pa.Table) -> Partition:
    """Write a small table as one partition."""
    writer = PartitionWriter(location, name, table.schema)
    try:
        for batch in table.to_batches():
            writer.write(batch)
        return writer.close()
    except BaseException as error:
        writer.abort(error)
        raise


def _check_ids(ids: pa.ChunkedArray, path: str) -> None:
    if ids.null_count:
        msg = f"{path}: a row has no id; give every row one."
        raise CardinalityError(msg)
    if pc.count_distinct(ids).as_py() == len(ids):
        return
    counts = pc.value_counts(ids.combine_chunks())
    twice: Any = next(entry for entry in counts.to_pylist() if entry["counts"] > 1)
    msg = f"{path}: id {twice['values']!r} comes {twice['counts']} times; ids must be unique."
    raise CardinalityError(msg)


def _is_wordy(field: pa.Field) -> bool:
    """Return whether a column's values may repeat, so that a dictionary pays off."""
    return field.name != "id" and bool(pa.types.is_string(field.type))


def _rows_at_once(schema: pa.Schema) -> int:
    """Return how many rows the writer takes between two page checks: few if one may be an image.

    A page may have a megabyte, and is held in memory until it is complete.
    """
    return 8 if any(pa.types.is_binary(f.type) for f in schema) else 1024


def _compression(schema: pa.Schema) -> dict[str, str]:
    """Return the compression per column: images are compressed already, vectors hardly shrink."""
    leaves = [leaf for field in schema for leaf in _leaves(field.name, field.type)]
    return {path: "none" if _is_dense(path, type_) else "zstd" for path, type_ in leaves}


def _leaves(path: str, data_type: pa.DataType) -> Iterator[tuple[str, pa.DataType]]:
    """Yield the leaf columns that Parquet stores for a type, with their paths."""
    if pa.types.is_list(data_type) or pa.types.is_fixed_size_list(data_type):
        yield from _leaves(f"{path}.list.element", data_type.value_type)
    elif pa.types.is_struct(data_type):
        for field in data_type:
            yield from _leaves(f"{path}.{field.name}", field.type)
    else:
        yield path, data_type


def _is_dense(path: str, data_type: pa.DataType) -> bool:
    if pa.types.is_floating(data_type):
        return path.endswith(".list.element")
    return bool(pa.types.is_binary(data_type) or pa.types.is_large_binary(data_type))
