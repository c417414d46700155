"""Reading the input rows."""

from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa
from pictures import UrlRow

_COLUMNS: Final = ("id", "image_url", "expected_sha256", "seed_id", "images_wanted")


def rows_of(batches: Iterator[pa.RecordBatch]) -> Iterator[UrlRow]:
    """Yield the rows of one partition."""
    position = 0
    for batch in batches:
        columns = [_values(batch, name) for name in _COLUMNS]
        for values in zip(*columns, strict=True):
            yield UrlRow(position, *values)
            position += 1


def noting(batches: Iterator[pa.RecordBatch], expected: dict[str, Any]) -> Iterator[pa.RecordBatch]:
    """Pass batches on, and collect the vectors that accompany their rows."""
    for batch in batches:
        vectors = batch.column("expected_embedding").to_numpy(zero_copy_only=False)
        pairs = zip(batch.column("id").to_pylist(), vectors, strict=True)
        expected.update((row_id, vector) for row_id, vector in pairs if vector is not None)
        yield batch


def _values(batch: pa.RecordBatch, name: str) -> list[Any]:
    """Return the values of a field that the dataset may lack."""
    return batch.column(name).to_pylist() if name in batch.schema.names else [None] * len(batch)
