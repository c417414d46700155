"""Vectors at length 1, whose products are cosines."""

import numpy as np
from numpy.typing import NDArray


def unit_vectors(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `vectors`, of shape (n, dimension), each divided by its length; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32, copy=False)
