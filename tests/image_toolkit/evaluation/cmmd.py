"""CMMD of two sets, each vector of them once: what the evaluation resamples."""

import numpy as np
from numpy.typing import NDArray

from image_toolkit.evaluation.gaussian_mmd import discrepancies, gaussian_kernel


def cmmd(
    ones: NDArray[np.floating], others: NDArray[np.floating], *, biased: bool = False
) -> float:
    """Return the discrepancy of two sets of vectors, times 1,000.

    Args:
        ones: of shape (n, dimension), two vectors or more.
        others: of shape (m, dimension), likewise.
        biased: As the paper's code has it.
    """
    kernel = gaussian_kernel(np.concatenate([ones, others]))
    first = (np.arange(len(kernel)) < len(ones)).astype(np.float64)[:, None]
    return float(discrepancies(kernel, first, 1 - first, biased=biased)[0])
