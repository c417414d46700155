"""An index on this machine: a neighbour search with the metadata of its rows."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from image_toolkit.retrieval.search.duplicates import near_duplicates
from image_toolkit.retrieval.search.hits import (
    BoolArray,
    FloatArray,
    Hits,
    Index,
    IndexInfo,
    IntArray,
)
from image_toolkit.retrieval.search.metadata_rows import Rows
from image_toolkit.retrieval.search.neighbours import Neighbours, NeighbourSearch
from image_toolkit.retrieval.service.query_requests import BadRequestError


class LocalIndex(Index):
    """Answers from files: exact search or FAISS, with metadata from Parquet or Arrow files."""

    def __init__(self, info: IndexInfo, neighbours: NeighbourSearch, metadata: Rows) -> None:
        self.info = info
        self.nearest = neighbours
        self.rows = metadata
        self.schema = metadata.schema

    def search(
        self,
        queries: FloatArray,
        count: int,
        *,
        columns: Sequence[str],
        duplicate_threshold: float | None,
        with_vectors: bool = False,
    ) -> Hits:
        """Return up to `count` nearest rows for each query; see `Index.search`."""
        query: list[IntArray] = []
        index_id: list[IntArray] = []
        similarity: list[FloatArray] = []
        vectors = [np.empty((0, self.nearest.dimension), np.float32)]
        compared = with_vectors or duplicate_threshold is not None
        count = min(count, self.nearest.rows)
        for run in self.nearest.neighbours(queries, count, with_vectors=compared):
            keep = _distinct(run, duplicate_threshold)
            query.append(run.first + np.nonzero(keep)[0])
            index_id.append(run.ids[keep])
            similarity.append(run.similarity[keep])
            if with_vectors and run.vectors is not None:
                vectors.append(run.vectors[keep])
        ids = np.concatenate([*index_id, np.empty(0, np.int64)])
        return Hits(
            np.concatenate([*query, np.empty(0, np.int64)]),
            ids,
            np.concatenate([*similarity, np.empty(0, np.float32)]),
            self.rows.take(ids, columns),
            vectors=np.concatenate(vectors) if with_vectors else None,
        )

    def neighbours(self, queries: FloatArray, count: int) -> IntArray:
        """Return the nearest rows of each query, shape (n, count); -1 if there are fewer."""
        runs = self.nearest.neighbours(queries, count, with_vectors=False)
        return np.concatenate([run.ids for run in runs])

    def metadata(self, ids: Sequence[int]) -> pa.Table:
        """Return all metadata columns of the rows `ids`.

        Raises:
            BadRequestError: there is no such row.
        """
        wanted = [i for i in ids if type(i) is not int or not 0 <= i < self.nearest.rows]
        if wanted:
            msg = f"there is no row {wanted[0]!r}"
            raise BadRequestError(msg)
        return self.rows.take(np.array(ids, np.int64), self.info.columns or ())


def _distinct(run: Neighbours, threshold: float | None) -> BoolArray:
    """Return which neighbours are rows of the index (not -1) and not near-duplicates."""
    keep = run.ids >= 0
    if run.vectors is None or threshold is None:
        return keep
    for valid, vectors in zip(keep, run.vectors, strict=True):
        count = int(valid.sum())
        valid[:count] = ~near_duplicates(vectors[:count], threshold)
    return keep
