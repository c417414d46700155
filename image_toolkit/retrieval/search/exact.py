"""Exact search: every query against every vector, straight from the files."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from image_toolkit.retrieval.search.hits import FloatArray, IntArray
from image_toolkit.retrieval.search.neighbours import Neighbours, run_length
from image_toolkit.retrieval.search.vectors import VectorFiles
from image_toolkit.unit_vectors import unit_vectors

_QUERIES_AT_ONCE: Final = 1024


class ExactSearch:
    """Finds the true nearest neighbours by cosine; vectors of any length are accepted."""

    def __init__(self, vectors: VectorFiles) -> None:
        self._vectors = vectors
        self.dimension = vectors.dimension
        self.rows = len(vectors)

    def neighbours(
        self,
        queries: FloatArray,
        count: int,
        *,
        with_vectors: bool,
    ) -> Iterator[Neighbours]:
        """Yield the `count` nearest rows of each query, in runs of queries."""
        for start in range(0, len(queries), _QUERIES_AT_ONCE):
            run = queries[start : start + _QUERIES_AT_ONCE]
            similarity, ids = exact_neighbours(self._vectors, run, min(count, self.rows))
            step = run_length(count, self.dimension) if with_vectors else len(run)
            for offset in range(0, len(run), step):
                part = slice(offset, offset + step)
                yield Neighbours(
                    start + offset,
                    similarity[part],
                    ids[part],
                    self._vectors_of(ids[part]) if with_vectors else None,
                )

    def _vectors_of(self, ids: IntArray) -> FloatArray:
        there = np.maximum(ids, 0)  # if fewer were found (NaN rows never are), any will do
        unique, where = np.unique(there, return_inverse=True)
        return self._vectors.take(unique)[where.reshape(ids.shape)]


def exact_neighbours(
    vectors: VectorFiles,
    queries: FloatArray,
    count: int,
    rows: int | None = None,
) -> tuple[FloatArray, IntArray]:
    """Return the cosines and the numbers of the `count` vectors nearest to each query.

    `rows` limits the search to the first ones. One pass over the vectors; returns two arrays of
    shape (n, count), best first, with equal cosines in the order of the vectors.
    """
    best = np.full((len(queries), count), -np.inf, np.float32)
    ids = np.full((len(queries), count), -1, np.int64)
    start = 0
    for chunk in vectors.chunks():
        scores = queries @ unit_vectors(chunk[: None if rows is None else rows - start]).T
        better = np.flatnonzero((scores > best[:, -1:]).any(axis=1))
        for query in better:
            _merge(best[query], ids[query], scores[query], start)
        start += len(chunk)
        if rows is not None and start >= rows:
            break
    return best, ids


def _merge(best: FloatArray, ids: IntArray, scores: FloatArray, start: int) -> None:
    """Merge the `scores` of rows from `start` on into `best`, sorted descending, in place."""
    count = len(best)
    found = np.flatnonzero(scores > best[-1])
    if len(found) > count:
        limit = np.partition(scores[found], len(found) - count)[len(found) - count]
        found = found[scores[found] >= limit]
    all_scores = np.concatenate([best, scores[found]])
    order = np.argsort(-all_scores, kind="stable")[:count]
    ids[:] = np.concatenate([ids, found + start])[order]
    best[:] = all_scores[order]
