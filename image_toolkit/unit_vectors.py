"""Vectors at length 1, whose products are cosines."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def unit_vectors(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `vectors`, of shape (n, dimension), each divided by its length; zeros stay zeros."""
    return _divided(vectors).astype(np.float32, copy=False)


def exact_unit_vectors(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the same in double precision, for what is made of differences between products."""
    return _divided(np.asarray(vectors, np.float64))


def _divided(vectors: NDArray[Any]) -> NDArray[Any]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths == 0, 1, lengths))
