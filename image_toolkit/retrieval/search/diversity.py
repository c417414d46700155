"""Choosing hits that differ from each other, so that twenty hits are not one picture twenty times.

Maximal marginal relevance (Carbonell and Goldstein, 1998): one hit after the other is chosen, by
how near it is to the query and how far from those chosen before.
"""

from itertools import pairwise

import numpy as np

from image_toolkit.retrieval.search.hits import BoolArray, FloatArray, Hits
from image_toolkit.unit_vectors import unit_vectors


def diverse(hits: Hits, count: int, diversity: float) -> BoolArray:
    """Return which `count` hits of each query to keep; `hits` must have their vectors.

    With a `diversity` of 0 these are the nearest, with 1 the nearest one and whatever is farthest
    from those chosen before.
    """
    keep = np.zeros(len(hits), np.bool_)
    vectors = unit_vectors(np.asarray(hits.vectors, np.float32))
    starts = np.flatnonzero(np.diff(hits.query, prepend=-1))
    for start, end in pairwise([*starts.tolist(), len(hits)]):
        here = slice(start, end)
        keep[here] = _chosen(hits.similarity[here], vectors[here], count, diversity)
    return keep


def _chosen(similarity: FloatArray, vectors: FloatArray, count: int, diversity: float) -> BoolArray:
    chosen = np.zeros(len(similarity), np.bool_)
    nearest = np.full(len(similarity), -1, np.float32)  # cosine to the nearest that is chosen
    for _ in range(min(count, len(similarity))):
        worth = (1 - diversity) * similarity - diversity * nearest
        best = int(np.argmax(np.where(chosen, -np.inf, worth)))
        chosen[best] = True
        nearest = np.maximum(nearest, vectors @ vectors[best])
    return chosen
