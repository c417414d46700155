"""The maximum mean discrepancy of two sets of vectors, with a Gaussian kernel: CMMD.

Jayasumana et al., "Rethinking FID" (CVPR 2024): vectors of CLIP at length 1, a kernel of width 10,
and the squared discrepancy times 1,000. The estimate is the one without bias of Gretton et al.
(2012), eq. 3: around 0, and below it too, for two samples of the same. The paper's own code takes
the biased one, which also counts each vector's likeness to itself; that can be asked for.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from image_toolkit.unit_vectors import exact_unit_vectors

SIGMA: Final = 10.0
SCALE: Final = 1_000.0

Floats = NDArray[np.float64]


def gaussian_kernel(vectors: NDArray[np.floating]) -> Floats:
    """Return the kernel of each two vectors less 1, of shape (n, n), zeros on the diagonal.

    Less 1, for what all values share makes no difference, and would cost digits.

    Args:
        vectors: of shape (n, dimension), of any length above 0; they are brought to length 1.
    """
    units = exact_unit_vectors(vectors)
    squared = 2 - 2 * np.clip(units @ units.T, -1, 1)
    kernel = np.expm1(squared / (-2 * SIGMA**2))
    np.fill_diagonal(kernel, 0)
    return np.asarray(kernel)


def discrepancies(kernel: Floats, ones: Floats, others: Floats, *, biased: bool = False) -> Floats:
    """Return the discrepancy of many pairs of sets that are drawn from the same vectors.

    A vector that is drawn twice is compared with the others only, not with itself.

    Args:
        kernel: of `gaussian_kernel`, of shape (n, n).
        ones: of shape (n, pairs): how often each vector is in the first set of each pair.
        others: likewise, in the second.
        biased: As the paper's code has it.
    """
    to_ones, to_others = kernel @ ones, kernel @ others
    within = (to_ones * ones).sum(axis=0) / _pairs_of(ones, biased=biased)
    within += (to_others * others).sum(axis=0) / _pairs_of(others, biased=biased)
    across = (to_ones * others).sum(axis=0) / (ones.sum(axis=0) * others.sum(axis=0))
    return np.asarray(SCALE * (within - 2 * across))


def _pairs_of(weights: Floats, *, biased: bool) -> Floats:
    """Return how many pairs of a set are compared, itself with itself where that is biased."""
    with_itself = 0 if biased else (weights**2).sum(axis=0)
    return np.asarray(weights.sum(axis=0) ** 2 - with_itself)
