"""Unit vectors, whose products are cosines."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_LENGTHS: Final = (1e-15, 1e15)
"""Within these limits, the square of a length fits in single precision."""


def unit_vectors(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `vectors`, shape (n, dimension), each divided by its length; zeros stay zeros."""
    return _divided(vectors).astype(np.float32, copy=False)


def exact_unit_vectors(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the same in double precision, for results from differences between products."""
    return _divided(np.asarray(vectors, np.float64))


def _divided(vectors: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(all="ignore"):  # non-finite vectors have no direction, and stay so
        lengths = np.linalg.norm(vectors, axis=1)
        usual = (lengths > _LENGTHS[0]) & (lengths < _LENGTHS[1])
        divided = np.asarray(vectors / np.where(usual, lengths, 1)[:, None])
        if not usual.all():
            odd = vectors[~usual]
            largest = np.abs(odd).max(axis=1, keepdims=True, initial=0)
            odd = odd / np.where(largest == 0, 1, largest)
            lengths = np.linalg.norm(odd, axis=1, keepdims=True)
            divided[~usual] = odd / np.where(lengths == 0, 1, lengths)
    return divided
