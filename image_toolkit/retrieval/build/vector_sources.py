"""What an index can be built from: vectors with their metadata, in the usual layouts.

- Parquet files with a vector column
- `.npy` files with Parquet or Arrow metadata, in clip-retrieval's layout or separate (Re-LAION)
- DataComp's pairs of `<name>.parquet` and `<name>.npz`
- a dataset that this pipeline wrote, by its manifest

A folder of images is in `image_source`, since it needs a model.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fondant_spec.dataset.layout import MANIFEST_FILE
from fondant_spec.dataset.manifest import Field, Manifest, Partition
from fondant_spec.dataset.parquet_bounds import check_unpacked
from fondant_spec.dataset.parquet_pages import open_checked
from fondant_spec.dataset.partitions import read_batches
from fondant_spec.errors import InputDataError
from image_toolkit.retrieval.build.vector_source import Portion, Stretch, VectorSource
from image_toolkit.retrieval.search.fingerprint import state_of
from image_toolkit.retrieval.search.hits import FloatArray
from image_toolkit.retrieval.search.index_folder import IndexFolder
from image_toolkit.retrieval.search.metadata_rows import Rows
from image_toolkit.retrieval.search.model_identity import ModelIdentity
from image_toolkit.retrieval.search.numbered_files import files_by_name
from image_toolkit.retrieval.search.vectors import NpyVectors, is_float_list, vector_column

_ROWS: Final = 8192
_BUFFER_BYTES: Final = 8 << 20


def open_source(
    path: Path,
    *,
    metadata: Path | None = None,
    vectors: str | None = None,
    modality: str = "image",
) -> VectorSource:
    """Return the source at `path`, in any of the layouts.

    `metadata` is the folder with the metadata of `.npy` files, if it is not beside them. `vectors`
    names the Parquet column, the dataset's field or the key in DataComp's `.npz` files.

    Raises:
        InputDataError: nothing here can be read.
    """
    if not path.exists():
        msg = f"there is no {path}."
        raise InputDataError(msg)
    if path.name == MANIFEST_FILE or (path / MANIFEST_FILE).is_file():
        return _dataset_source(Manifest.read(str(path)), vectors)
    if path.is_dir() and files_by_name(path, "*.npz"):
        return _datacomp_source(path, vectors)
    folder = IndexFolder(path, modality=modality, metadata=metadata)
    if npy := folder.npy_files(path):
        return _npy_source(npy, folder.metadata_files(path, npy))
    if parquet := folder.parquet_files(path):
        return _parquet_source(parquet, vectors)
    msg = f"{path}: has no vectors: no .npy, .npz or Parquet files, and no {MANIFEST_FILE}."
    raise InputDataError(msg)


def _parquet_source(files: Sequence[Path], column: str | None) -> VectorSource:
    column = vector_column(files[0], Rows(files[:1]).schema, column)
    dimension = _dimension(files, column)
    stretches = []
    for file in files:
        metadata = pq.read_metadata(file)
        check_unpacked(str(file), metadata)
        for group in range(metadata.num_row_groups):
            read = partial(_read_row_group, file, group, column, dimension)
            stretches.append(Stretch(metadata.row_group(group).num_rows, read))
    return VectorSource(stretches, f"{state_of(files)}-{column}", dimension)


def _npy_source(files: Sequence[Path], metadata_files: Sequence[Path]) -> VectorSource:
    vectors, rows = NpyVectors(files), Rows(metadata_files)
    if len(vectors) != len(rows):
        msg = f"{files[0].parent}: {len(vectors)} vectors, but {len(rows)} rows of metadata."
        raise InputDataError(msg)
    stretches = [
        Stretch(min(_ROWS, len(vectors) - start), partial(_read_range, vectors, rows, start))
        for start in range(0, len(vectors), _ROWS)
    ]
    return VectorSource(stretches, state_of([*files, *metadata_files]), vectors.dimension)


def _datacomp_source(folder: Path, key: str | None) -> VectorSource:
    arrays = files_by_name(folder, "*.npz")
    tables = [file.with_suffix(".parquet") for file in arrays]
    stretches = []
    for array, table in zip(arrays, tables, strict=True):
        if not table.is_file():
            msg = f"{array}: its metadata, {table.name}, is not beside it."
            raise InputDataError(msg)
        rows = pq.read_metadata(table).num_rows
        stretches.append(Stretch(rows, partial(_read_pair, array, table, key)))
    dimension = _read_array(arrays[0], key).shape[1]
    return VectorSource(stretches, f"{state_of([*arrays, *tables])}-{key}", dimension)


def _dataset_source(manifest: Manifest, name: str | None) -> VectorSource:
    name = name or "embedding"
    if name not in manifest.fields:
        msg = (
            f"{manifest.location}: the dataset has no field {name!r} of vectors. It has: "
            f"{', '.join(manifest.fields)}."
        )
        raise InputDataError(msg)
    field = manifest.fields[name]
    dimension = field.metadata.get("dimension") or getattr(field.type, "list_size", None)
    if dimension is None:
        msg = f"{manifest.location}: field {name!r} does not state the dimension of its vectors."
        raise InputDataError(msg)
    wanted = {n: f for n, f in manifest.fields.items() if n == name or is_metadata(f.type)}
    stretches = [
        Stretch(part.rows, partial(_read_partition, manifest, wanted, part, name, dimension))
        for part in manifest.partitions
    ]
    identity = f"{manifest.digest[:16]}-{name}"
    return VectorSource(stretches, identity, dimension, ModelIdentity.of_field(field.metadata))


def _read_row_group(file: Path, group: int, column: str, dimension: int) -> Iterator[Portion]:
    with open_checked(file, str(file), buffer_size=_BUFFER_BYTES, pre_buffer=False) as parquet:
        for batch in parquet.iter_batches(_ROWS, row_groups=[group]):
            yield _split(pa.table(batch), column, dimension)


def _read_range(vectors: NpyVectors, rows: Rows, start: int) -> Iterator[Portion]:
    ids = np.arange(start, min(start + _ROWS, len(vectors)))
    columns = [field.name for field in rows.schema if is_metadata(field.type)]
    yield vectors.take(ids), rows.take(ids, columns)


def _read_pair(array: Path, table: Path, key: str | None) -> Iterator[Portion]:
    vectors = _read_array(array, key)
    metadata = pq.read_table(table).replace_schema_metadata(None)
    if len(vectors) != len(metadata):
        msg = f"{array}: {len(vectors)} vectors, but {len(metadata)} rows in {table.name}."
        raise InputDataError(msg)
    yield vectors, metadata.select([f.name for f in metadata.schema if is_metadata(f.type)])


def _read_array(array: Path, key: str | None) -> FloatArray:
    with np.load(array, allow_pickle=False) as content:
        if key is None or key not in content:
            msg = (
                f"{array}: say with --vectors which of its arrays to index: "
                f"{', '.join(content.files)}."
            )
            raise InputDataError(msg)
        return content[key].astype(np.float32)  # type: ignore[no-any-return]


def _read_partition(
    manifest: Manifest,
    wanted: Mapping[str, Field],
    partition: Partition,
    name: str,
    dimension: int,
) -> Iterator[Portion]:
    for batch in read_batches(wanted, manifest.index_location, partition.name, _ROWS):
        yield _split(pa.table(batch), name, dimension)


def is_metadata(data_type: pa.DataType) -> bool:
    """Return whether a column belongs in an index's metadata: not vectors, not image bytes."""
    binary = pa.types.is_binary(data_type) or pa.types.is_large_binary(data_type)
    return not binary and not is_float_list(data_type)


def _split(table: pa.Table, column: str, dimension: int) -> Portion:
    vectors = _vectors_or_nan(table[column].combine_chunks(), dimension)
    narrow = [field.name for field in table.schema if is_metadata(field.type)]
    return vectors, table.select(narrow).replace_schema_metadata(None)


def _vectors_or_nan(column: pa.Array, dimension: int) -> FloatArray:
    """Return a column of lists as vectors; NaN for null and for another length."""
    right = pc.fill_null(pc.equal(pc.list_value_length(column), dimension), fill_value=False)
    flat = column.filter(right).flatten().cast(pa.float32()).to_numpy(zero_copy_only=False)
    if len(flat) == len(column) * dimension:
        return flat.reshape(-1, dimension)  # type: ignore[no-any-return]
    vectors = np.full((len(column), dimension), np.nan, np.float32)
    vectors[right.to_numpy(zero_copy_only=False)] = flat.reshape(-1, dimension)
    return vectors


def _dimension(files: Sequence[Path], column: str) -> int:
    """Return the length of the first list that is not null."""
    for file in files:
        with open_checked(file, str(file), buffer_size=_BUFFER_BYTES, pre_buffer=False) as parquet:
            for batch in parquet.iter_batches(_ROWS, columns=[column]):
                longest = pc.max(pc.list_value_length(batch.column(0))).as_py()
                if longest:
                    return int(longest)
    msg = f"{files[0].parent}: column {column!r} holds no vectors."
    raise InputDataError(msg)
