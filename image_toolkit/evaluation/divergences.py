"""Divergences of distributions over the same bins, in nats, many at a time."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ADDED: Final = 0.5
"""Added to each bin's count (Laplace smoothing), so that none is empty."""


def smoothed(counts: Floats) -> Floats:
    """Convert counts, shape (bins, many), to distributions without empty bins."""
    added = counts + ADDED
    return np.asarray(added / added.sum(axis=0))


def kl(ones: Floats, others: Floats) -> Floats:
    """Return the Kullback-Leibler divergence of `ones` from `others`, shape (many,).

    For two samples of size N from the same distribution, each adds about (bins - 1) / 2N, not 0.
    """
    return np.asarray((ones * np.log(ones / others)).sum(axis=0))


def js(ones: Floats, others: Floats) -> Floats:
    """Return the Jensen-Shannon divergence, from 0 to log 2, shape (many,)."""
    middle = (ones + others) / 2
    return (kl(ones, middle) + kl(others, middle)) / 2
