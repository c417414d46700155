"""Choosing hits that differ, so that twenty hits are not the same picture twenty times.

Maximal marginal relevance (Carbonell and Goldstein, 1998): hits are chosen one by one, each near
the query and far from those already chosen.
"""

from itertools import pairwise

import numpy as np

from image_toolkit.retrieval.search.hits import FloatArray, Hits, IntArray
from image_toolkit.unit_vectors import unit_vectors


def diverse(hits: Hits, count: int, diversity: float) -> IntArray:
    """Return the turn in which each hit is chosen: 0 to `count` - 1 within each query.

    The turn of a hit that is not chosen is `count`. `hits` must have their vectors. A `diversity`
    of 0 chooses the nearest; 1 chooses the nearest one, then whatever is farthest from those
    already chosen.
    """
    turns = np.full(len(hits), count, np.int64)
    vectors = unit_vectors(np.asarray(hits.vectors, np.float32))
    starts = np.flatnonzero(np.diff(hits.query, prepend=-1))
    for start, end in pairwise([*starts.tolist(), len(hits)]):
        here = slice(start, end)
        turns[here] = _turns(hits.similarity[here], vectors[here], count, diversity)
    return turns


def _turns(similarity: FloatArray, vectors: FloatArray, count: int, diversity: float) -> IntArray:
    turns = np.full(len(similarity), count, np.int64)
    nearest = np.full(len(similarity), -1, np.float32)  # cosine to the nearest chosen hit
    for turn in range(min(count, len(similarity))):
        worth = (1 - diversity) * similarity - diversity * nearest
        best = int(np.argmax(np.where(turns < count, -np.inf, worth)))
        turns[best] = turn
        nearest = np.maximum(nearest, vectors @ vectors[best])
    return turns
