"""The maximum mean discrepancy of two sets of vectors, with a Gaussian kernel: CMMD.

Jayasumana et al., "Rethinking FID" (CVPR 2024): unit vectors of CLIP, a kernel of width 10, and the
squared discrepancy times 1,000. The estimate is the unbiased one of Gretton et al. (2012), eq. 3:
about 0, possibly below, for two samples of the same distribution. The paper's own code uses the
biased one, which includes each vector's similarity to itself; it is available as an option.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from image_toolkit.unit_vectors import exact_unit_vectors

SIGMA: Final = 10.0
SCALE: Final = 1_000.0

Floats = NDArray[np.float64]


def gaussian_kernel(vectors: NDArray[np.floating]) -> Floats:
    """Return the kernel of each pair of vectors minus 1, shape (n, n), with zeros on the diagonal.

    Minus 1, since a constant makes no difference, and would cost precision.

    Args:
        vectors: shape (n, dimension), of any length above 0; they are normalised.
    """
    units = exact_unit_vectors(vectors)
    squared = 2 - 2 * np.clip(units @ units.T, -1, 1)
    kernel = np.expm1(squared / (-2 * SIGMA**2))
    np.fill_diagonal(kernel, 0)
    return np.asarray(kernel)


def discrepancies(kernel: Floats, ones: Floats, others: Floats, *, biased: bool = False) -> Floats:
    """Return the discrepancy of many pairs of sets drawn from the same vectors.

    A vector that is drawn twice is only compared with others, not with itself.

    Args:
        kernel: from `gaussian_kernel`, shape (n, n).
        ones: shape (n, pairs): how often each vector is in the first set of each pair.
        others: likewise, for the second set.
        biased: As in the paper's code.
    """
    to_ones, to_others = kernel @ ones, kernel @ others
    within = (to_ones * ones).sum(axis=0) / _pairs_of(ones, biased=biased)
    within += (to_others * others).sum(axis=0) / _pairs_of(others, biased=biased)
    across = (to_ones * others).sum(axis=0) / (ones.sum(axis=0) * others.sum(axis=0))
    return np.asarray(SCALE * (within - 2 * across))


def _pairs_of(weights: Floats, *, biased: bool) -> Floats:
    """Return the number of pairs compared within a set, including self-pairs if biased."""
    with_itself = 0 if biased else (weights**2).sum(axis=0)
    return np.asarray(weights.sum(axis=0) ** 2 - with_itself)
