"""How many different images a set amounts to.

Friedman and Dieng, "The Vendi Score" (TMLR 2023), with the cosine as likeness: 1 where all are the
same, as many as there are where no two have anything in common.
"""

import numpy as np
from numpy.typing import NDArray

from image_toolkit.unit_vectors import exact_unit_vectors


def vendi_score(vectors: NDArray[np.floating]) -> float:
    """Return the number of different vectors that a set, of shape (n, dimension), amounts to.

    It grows with the number of vectors: compare sets of one size only.
    """
    units = exact_unit_vectors(vectors)
    likeness = units @ units.T if len(units) < units.shape[1] else units.T @ units
    shares = np.linalg.eigvalsh(likeness / len(units))
    shares = shares[shares > 1e-12]  # noqa: PLR2004 - what rounding leaves of zeros
    return float(np.exp(-(shares * np.log(shares)).sum()))
