"""Dictionary-encoded columns, so that repeated values are held once."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

PIECE_BYTES: Final = 16 << 20
_LISTS: Final = (pa.types.is_list, pa.types.is_large_list)

Bytes = npt.NDArray[np.int64]


def spelled_out(batch: pa.RecordBatch, plain: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield a batch without dictionaries, in pieces of about 16 MB, or of one row.

    `plain` is its schema without dictionaries.
    """
    sizes = sum((_row_bytes(column) for column in batch.columns), np.zeros(len(batch), np.int64))
    start, held = 0, 0
    for row, size in enumerate(sizes.tolist()):
        if held and held + size > PIECE_BYTES:
            yield _decoded(batch.slice(start, row - start), plain)
            start, held = row, 0
        held += size
    yield _decoded(batch.slice(start), plain)


def _decoded(batch: pa.RecordBatch, plain: pa.Schema) -> pa.RecordBatch:
    types = [plain.field(name).type for name in batch.schema.names]
    columns = [
        column.cast(type_) if column.type != type_ else column
        for column, type_ in zip(batch.columns, types, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _row_bytes(array: Any) -> Bytes:
    """Return the bytes per row that a dictionary repeats."""
    none = np.zeros(len(array), np.int64)
    if pa.types.is_dictionary(array.type):
        if not len(array.dictionary):
            return none
        lengths = pc.fill_null(pc.binary_length(array.dictionary), 0).to_numpy().astype(np.int64)
        indices = pc.fill_null(array.indices, 0).to_numpy()
        return np.asarray(
            np.where(array.is_valid().to_numpy(zero_copy_only=False), lengths[indices], 0)
        )
    if pa.types.is_struct(array.type):
        return sum((_row_bytes(child) for child in array.flatten()), none)
    if any(check(array.type) for check in _LISTS):
        ends = np.concatenate([[0], np.cumsum(pc.fill_null(pc.list_value_length(array), 0))])
        sums = np.concatenate([[0], np.cumsum(_row_bytes(array.flatten()))])
        return np.asarray(np.diff(sums[ends.astype(np.int64)]))
    return none
