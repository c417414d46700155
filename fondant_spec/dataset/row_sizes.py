"""Sizes of rows, which depend only on their values and not on their memory layout.

`RecordBatch.nbytes` differs for the same rows in other batches, so it cannot decide where to split
files that must be byte-identical each time.
"""

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    import numpy.typing as npt

_OF_OTHER_TYPES: Final = 16


def row_sizes(batch: pa.RecordBatch) -> "npt.NDArray[np.int64]":
    """Return the approximate size of each row's values, in bytes."""
    sizes = np.zeros(len(batch), np.int64)
    for column in batch.columns:
        sizes += _value_sizes(column)
    return sizes


def _value_sizes(array: pa.Array) -> "npt.NDArray[np.int64]":
    kind = array.type
    if pa.types.is_struct(kind):
        fields = (_value_sizes(field) for field in array.flatten())
        return sum(fields, np.zeros(len(array), np.int64))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _list_sizes(array)
    if pa.types.is_string(kind) or pa.types.is_binary(kind) or _is_large(kind):
        return _numbers(pc.binary_length(array))
    bits = kind.bit_width if pa.types.is_primitive(kind) else 8 * _OF_OTHER_TYPES
    return np.full(len(array), max(1, bits // 8), np.int64)


def _list_sizes(array: Any) -> "npt.NDArray[np.int64]":
    """Return the sizes of lists, 0 for nulls, whose hidden values `flatten` leaves out."""
    ends = np.cumsum(_numbers(pc.list_value_length(array)))
    total = np.concatenate([[0], np.cumsum(_value_sizes(array.flatten()))])
    return np.diff(total[ends], prepend=0)


def _numbers(array: pa.Array) -> "npt.NDArray[np.int64]":
    return np.asarray(pc.fill_null(array, 0)).astype(np.int64)


def _is_large(kind: pa.DataType) -> bool:
    return bool(pa.types.is_large_string(kind) or pa.types.is_large_binary(kind))
