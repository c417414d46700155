"""The effective number of different images in a set.

Friedman and Dieng, "The Vendi Score" (TMLR 2023), with cosine similarity: 1 if all images are
equal, the number of images if no two have anything in common.
"""

import numpy as np
from numpy.typing import NDArray

from image_toolkit.unit_vectors import exact_unit_vectors


def vendi_score(vectors: NDArray[np.floating]) -> float:
    """Return the effective number of different vectors in a set, shape (n, dimension).

    It grows with the number of vectors: compare only sets of the same size.
    """
    units = exact_unit_vectors(vectors)
    likeness = units @ units.T if len(units) < units.shape[1] else units.T @ units
    shares = np.linalg.eigvalsh(likeness / len(units))
    shares = shares[shares > 1e-12]  # noqa: PLR2004 - rounded zeros
    return float(np.exp(-(shares * np.log(shares)).sum()))
