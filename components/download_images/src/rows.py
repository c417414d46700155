"""The rows of the input."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pictures import UrlRow


def rows_of(batches: Iterator[pa.RecordBatch]) -> Iterator[UrlRow]:
    """Yield the rows of one partition."""
    position = 0
    for batch in batches:
        ids = batch.column("id").to_pylist()
        urls = batch.column("image_url").to_pylist()
        hashes = [None] * len(batch)
        if "expected_sha256" in batch.schema.names:
            hashes = batch.column("expected_sha256").to_pylist()
        for row_id, url, expected in zip(ids, urls, hashes, strict=True):
            yield UrlRow(position, row_id, url, expected)
            position += 1


def noting(batches: Iterator[pa.RecordBatch], expected: dict[str, Any]) -> Iterator[pa.RecordBatch]:
    """Pass batches on, and keep the vectors that came with their rows."""
    for batch in batches:
        vectors = batch.column("expected_embedding").to_numpy(zero_copy_only=False)
        pairs = zip(batch.column("id").to_pylist(), vectors, strict=True)
        expected.update((row_id, vector) for row_id, vector in pairs if vector is not None)
        yield batch
