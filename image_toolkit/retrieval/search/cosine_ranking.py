"""True cosines from an index whose vectors are not of unit length."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from image_toolkit.retrieval.search.hits import FloatArray, IntArray
from image_toolkit.retrieval.search.neighbours import Neighbours, NeighbourSearch, run_length

_FACTOR: Final = 4
_EXTRA: Final = 32
_LEAST_LENGTH: Final = 1e-6


class CosineRanking:
    """Re-ranks the results of another search by cosine, with the vectors that it returns.

    A search by inner product prefers long vectors, and one by distance prefers those as long as the
    query: the nearest by cosine may come later. So queries are scaled to the typical `length` of
    the vectors, and four times as many neighbours, plus 32, are re-ranked; a neighbour further down
    is missed.
    """

    def __init__(self, search: NeighbourSearch, length: float) -> None:
        self._search = search
        self._length = np.float32(length)
        self.dimension = search.dimension
        self.rows = search.rows

    def neighbours(
        self,
        queries: FloatArray,
        count: int,
        *,
        with_vectors: bool,
    ) -> Iterator[Neighbours]:
        """Yield the `count` nearest rows of each query, in runs of queries."""
        among = min(self.rows, _FACTOR * count + _EXTRA)
        step = run_length(among, self.dimension)
        for start in range(0, len(queries), step):
            asked = queries[start : start + step]
            for run in self._search.neighbours(asked * self._length, among, with_vectors=True):
                if run.vectors is not None:
                    vectors = np.nan_to_num(run.vectors)
                    ranked = _by_cosine(run.ids, vectors, asked[run.first :], count)
                    first, kept = start + run.first, ranked.vectors if with_vectors else None
                    yield replace(ranked, first=first, vectors=kept)


def _by_cosine(ids: IntArray, vectors: FloatArray, queries: FloatArray, count: int) -> Neighbours:
    lengths = np.maximum(np.linalg.norm(vectors, axis=2), _LEAST_LENGTH)
    cosines = np.einsum("qnd,qd->qn", vectors, queries[: len(ids)]) / lengths
    cosines[ids < 0] = -np.inf  # fewer were found: these stay last
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
    return Neighbours(
        0,
        np.take_along_axis(cosines, order, axis=1).astype(np.float32),
        np.take_along_axis(ids, order, axis=1),
        np.take_along_axis(vectors, order[:, :, None], axis=1),
    )
