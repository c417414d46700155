"""Recall: the share of the true nearest neighbours that an index finds."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, Final

import faiss
import numpy as np
from numpy.typing import NDArray

from image_toolkit.retrieval.search.hits import FloatArray, IntArray

NEIGHBOURS: Final = 10


@dataclass(frozen=True)
class Measurement:
    """The performance of an index with some search options; the rate is in queries per second."""

    options: str
    recall: float
    rate: float


def recall(found: IntArray, true: IntArray) -> float:
    """Return the mean share of `true` neighbours that were `found`, both of shape (queries, k)."""
    return float(_shares(found, true).mean()) if true.size else 1.0


def _shares(found: IntArray, true: IntArray) -> NDArray[np.float64]:
    """Return, per query, the share of `true` neighbours that were `found`."""
    return (found[:, None, :] == true[:, :, None]).any(axis=2).mean(axis=1)  # type: ignore[no-any-return]


def tune(
    index: Any,
    queries: FloatArray,
    true: IntArray,
    options: Sequence[str],
    target: float,
) -> list[Measurement]:
    """Try `options`, fastest first, until the recall reaches `target` or there are no more.

    It must exceed the target by its standard error, so as to hold for other queries. The index
    keeps the options tried last, which are the last of the returned measurements.
    """
    measurements: list[Measurement] = []
    space: Any = faiss.ParameterSpace()
    for option in options:
        if option:
            space.set_index_parameters(index, option)
        start = time.perf_counter()
        _, found = index.search(queries, NEIGHBOURS)
        seconds = max(time.perf_counter() - start, 1e-9)
        shares = _shares(np.asarray(found), true)
        measured, error = float(shares.mean()), float(shares.std() / sqrt(len(shares)))
        measurements.append(Measurement(option, measured, len(queries) / seconds))
        if measured - error >= target:
            break
    return measurements
