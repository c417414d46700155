"""Seeds: the vectors of a batch of rows, as unit-length queries."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fondant_spec.dataset.rejects import Rejects
from image_toolkit.retrieval.search.hits import FloatArray
from image_toolkit.unit_vectors import unit_vectors


def read_seeds(
    batch: pa.RecordBatch,
    dimension: int | None,
    rejects: Rejects,
) -> tuple[pa.Array, FloatArray]:
    """Return the ids and the vectors, shape (n, dimension), of the rows that can be searched.

    The others are rejected: `no_embedding` for null, `wrong_dimension` for a vector of another
    dimension than the index's (None stands for that of the first row), `bad_embedding` for one that
    contains a null or a non-finite number, or is all zeros.
    """
    ids, column = batch.column("id"), batch.column("embedding")
    lengths = pc.list_value_length(column)
    if dimension is None:
        dimension = next((n for n in lengths.to_pylist() if n), 0)
    right = pc.fill_null(pc.equal(lengths, dimension), fill_value=False)
    for row_id, length in zip(
        ids.filter(pc.invert(right)).to_pylist(),
        lengths.filter(pc.invert(right)).to_pylist(),
        strict=True,
    ):
        if length is None:
            rejects.add(row_id, "no_embedding")
        else:
            rejects.add(row_id, "wrong_dimension", f"{length} dimensions instead of {dimension}")
    ids = ids.filter(right)
    flat = column.filter(right).flatten().cast(pa.float32())
    vectors = flat.to_numpy(zero_copy_only=False).reshape(len(ids), dimension)
    sound = np.isfinite(vectors).all(axis=1) & vectors.any(axis=1)
    for row_id in ids.filter(pa.array(~sound)).to_pylist():
        rejects.add(row_id, "bad_embedding", "not finite, or all zeros")
    return ids.filter(pa.array(sound)), unit_vectors(vectors[sound])
