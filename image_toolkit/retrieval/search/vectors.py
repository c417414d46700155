"""Vectors on disk, read in chunks: `.npy` files, or a list column of Parquet files."""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fondant_spec.errors import InputDataError
from image_toolkit.retrieval.search.hits import FloatArray, IntArray
from image_toolkit.retrieval.search.metadata_rows import Rows

CHUNK_ROWS: Final = 32_768

USUAL_COLUMNS: Final = ("embedding", "image_embedding", "clip_embedding", "vector")
"""The usual names of vector columns, commonest first."""

_Npy: TypeAlias = np.memmap[tuple[int, int], np.dtype[np.floating]]


class VectorFiles(Protocol):
    """The vectors of a list of files, numbered consecutively."""

    dimension: int

    def __len__(self) -> int:
        """Return the number of vectors."""

    def chunks(self, rows: int = CHUNK_ROWS) -> Iterator[FloatArray]:
        """Yield all vectors in order as float32, shape (n, dimension), n up to `rows`."""

    def take(self, ids: IntArray) -> FloatArray:
        """Return the vectors numbered `ids`, in that order."""


class NpyVectors:
    """Memory-mapped `.npy` files, shape (n, dimension), of any float type, in C or F order."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files
        self._arrays = [_open_npy(file) for file in files]
        self.file_rows = [len(array) for array in self._arrays]
        self.dimension = self._arrays[0].shape[1]
        for file, array in zip(files, self._arrays, strict=True):
            if array.shape[1] != self.dimension:
                msg = (
                    f"{file} has {array.shape[1]} dimensions, but {files[0]} has {self.dimension}."
                )
                raise InputDataError(msg)
        self._starts = np.fromiter(accumulate(self.file_rows, initial=0), np.int64)

    def __len__(self) -> int:
        """Return the number of vectors."""
        return int(self._starts[-1])

    def chunks(self, rows: int = CHUNK_ROWS) -> Iterator[FloatArray]:
        """Yield all vectors in order, up to `rows` at a time.

        They are read rather than mapped: chunks already processed take no memory.
        """
        for file, array in zip(self._files, self._arrays, strict=True):
            for start in range(0, len(array), rows):
                count = min(rows, len(array) - start)
                if not array.flags.c_contiguous:  # Fortran order: no run of rows is contiguous
                    yield np.ascontiguousarray(array[start : start + count], np.float32)
                    continue
                offset = array.offset + start * array.strides[0]
                flat = np.fromfile(file, array.dtype, count * self.dimension, offset=offset)
                yield flat.reshape(count, self.dimension).astype(np.float32, copy=False)

    def take(self, ids: IntArray) -> FloatArray:
        """Return the vectors numbered `ids`, in that order."""
        found = np.empty((len(ids), self.dimension), np.float32)
        file_of = np.searchsorted(self._starts, ids, side="right") - 1
        for number in np.unique(file_of):
            here = file_of == number
            found[here] = self._arrays[number][ids[here] - self._starts[number]]
        return found


class ParquetVectors:
    """A list column of Parquet files; the other columns are the vectors' metadata."""

    def __init__(self, files: Sequence[Path], column: str) -> None:
        self._files = files
        self._column = column
        self._rows = Rows(files)
        self.dimension = self._first_length()

    def __len__(self) -> int:
        """Return the number of vectors."""
        return len(self._rows)

    def chunks(self, rows: int = CHUNK_ROWS) -> Iterator[FloatArray]:
        """Yield all vectors in order, up to `rows` at a time."""
        for file in self._files:
            with pq.ParquetFile(file, memory_map=True) as parquet:
                for batch in parquet.iter_batches(rows, columns=[self._column]):
                    yield list_column(batch.column(0), self.dimension, f"{file}: {self._column}")

    def take(self, ids: IntArray) -> FloatArray:
        """Return the vectors numbered `ids`, in that order."""
        found = self._rows.take(ids, [self._column]).column(0).combine_chunks()
        return list_column(found, self.dimension, self._column)

    def _first_length(self) -> int:
        if not len(self._rows):
            msg = f"{self._files[0].parent}: the Parquet files hold no rows."
            raise InputDataError(msg)
        first = self._rows.take(np.zeros(1, np.int64), [self._column]).column(0)[0].as_py()
        return len(first or [])


def vector_column(file: Path, schema: pa.Schema, name: str | None = None) -> str:
    """Return the name of the vector column: `name`, a usual one, or the only one.

    Raises:
        InputDataError: there is none, or it is ambiguous.
    """
    lists = [field.name for field in schema if is_float_list(field.type)]
    usual = [column for column in USUAL_COLUMNS if column in lists]
    if name is None and (usual or len(lists) == 1):
        return (usual or lists)[0]
    if name is not None and name in lists:
        return name
    wanted = f"named {name!r}" if name else "(one, or one named `embedding`)"
    msg = f"{file}: needs a column of float lists {wanted}; it has: {', '.join(schema.names)}."
    raise InputDataError(msg)


def is_float_list(data_type: pa.DataType) -> bool:
    """Return whether a column is of float lists, that is, vectors."""
    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    nested = any(is_kind(data_type) for is_kind in kinds)
    return bool(nested and pa.types.is_floating(data_type.value_type))


def list_column(column: pa.Array, dimension: int, where: str) -> FloatArray:
    """Return a column of lists as an array, shape (n, `dimension`).

    Raises:
        InputDataError: a list is null or of another length.
    """
    flat = column.flatten()
    lengths = set(pa.compute.unique(pa.compute.list_value_length(column)).to_pylist())
    if not lengths <= {dimension} or flat.null_count:
        msg = f"{where}: every row must be a vector of {dimension} numbers, without nulls."
        raise InputDataError(msg)
    vectors: FloatArray = flat.cast(pa.float32()).to_numpy(zero_copy_only=False)
    return vectors.reshape(len(column), dimension)


def _open_npy(file: Path) -> "_Npy":
    try:
        array: _Npy = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        msg = f"{file}: is no .npy file that can be read ({error})."
        raise InputDataError(msg) from error
    if array.ndim != 2 or array.dtype.kind != "f":  # noqa: PLR2004 - rows and dimensions
        msg = f"{file}: needs floats of shape (rows, dimensions), not {array.dtype} {array.shape}."
        raise InputDataError(msg)
    return array
