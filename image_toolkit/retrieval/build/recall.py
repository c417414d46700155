"""Recall: how many of the true nearest neighbours an index finds."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import faiss
import numpy as np

from image_toolkit.retrieval.search.hits import FloatArray, IntArray

NEIGHBOURS: Final = 10
_WORTHWHILE: Final = 0.01


@dataclass(frozen=True)
class Measurement:
    """What an index does with certain search options; the rate is in queries a second."""

    options: str
    recall: float
    rate: float


def recall(found: IntArray, true: IntArray) -> float:
    """Return the mean share of `true` neighbours that were `found`, both of shape (queries, k)."""
    shared = (found[:, :, None] == true[:, None, :]).any(axis=2)
    return float(shared.sum() / true.size) if true.size else 1.0


def tune(
    index: Any,
    queries: FloatArray,
    true: IntArray,
    options: Sequence[str],
    target: float,
) -> list[Measurement]:
    """Try `options` from the fastest on until the recall reaches `target`, or hardly grows.

    The index keeps those tried last, which are the last of the measurements returned.
    """
    measurements: list[Measurement] = []
    space: Any = faiss.ParameterSpace()
    for option in options:
        if option:
            space.set_index_parameters(index, option)
        start = time.perf_counter()
        _, found = index.search(queries, NEIGHBOURS)
        seconds = max(time.perf_counter() - start, 1e-9)
        measured = recall(np.asarray(found), true)
        gain = measured - measurements[-1].recall if measurements else 1.0
        measurements.append(Measurement(option, measured, len(queries) / seconds))
        if measured >= target or gain < _WORTHWHILE:
            break
    return measurements
