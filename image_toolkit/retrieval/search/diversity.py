"""Choosing hits that differ from each other, so that twenty hits are not one picture twenty times.

Maximal marginal relevance (Carbonell and Goldstein, 1998): one hit after the other is chosen, by
how near it is to the query and how far from those chosen before.
"""

from itertools import pairwise

import numpy as np

from image_toolkit.retrieval.search.hits import FloatArray, Hits, IntArray
from image_toolkit.unit_vectors import unit_vectors


def diverse(hits: Hits, count: int, diversity: float) -> IntArray:
    """Return in which turn each hit is chosen, `count` of each query in turns 0 to `count` - 1.

    The turn of a hit that is not chosen is `count`. `hits` must have their vectors.
    With a `diversity` of 0 these are the nearest, with 1 the nearest one and whatever is farthest
    from those chosen before.
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
    nearest = np.full(len(similarity), -1, np.float32)  # cosine to the nearest that is chosen
    for turn in range(min(count, len(similarity))):
        worth = (1 - diversity) * similarity - diversity * nearest
        best = int(np.argmax(np.where(turns < count, -np.inf, worth)))
        turns[best] = turn
        nearest = np.maximum(nearest, vectors @ vectors[best])
    return turns
