"""Which bins hold another share of one set than of another: two proportions, bin by bin.

The bins that differ are NDB, the number of statistically different bins of Richardson and Weiss
(2018). Here each is tested exactly (Fisher), since few images fall into most of them, and held
against all (Holm): one of twenty even bins would be called different otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import fisher_exact

LEVEL: Final = 0.05


@dataclass(frozen=True)
class ShareTest:
    """What share a bin holds of each set, and how likely so large a difference is by chance.

    `p` is corrected for the number of bins.
    """

    shares: tuple[float, float]
    counts: tuple[int, int]
    p: float

    @property
    def moved(self) -> bool:
        """Whether that is less likely than 1 in 20, over all bins together."""
        return self.p < LEVEL

    @property
    def difference(self) -> float:
        """How much larger the second share is."""
        return self.shares[1] - self.shares[0]


def share_tests(ones: NDArray[np.float64], others: NDArray[np.float64]) -> list[ShareTest]:
    """Return the test of each bin; `ones` and `others` are the counts of the two sets."""
    totals = round(float(ones.sum())), round(float(others.sum()))
    counts = [(round(one), round(other)) for one, other in zip(ones, others, strict=True)]
    found = [
        float(
            fisher_exact([[one, totals[0] - one], [other, totals[1] - other]], "two-sided").pvalue
        )
        for one, other in counts
    ]
    return [
        ShareTest((one / max(totals[0], 1), other / max(totals[1], 1)), (one, other), p)
        for (one, other), p in zip(counts, _corrected(found), strict=True)
    ]


def _corrected(found: Sequence[float]) -> list[float]:
    """Return likelihoods for all tests together, by Holm's steps."""
    order = np.argsort(found, kind="stable")
    corrected = np.empty(len(found))
    highest = 0.0
    for step, place in enumerate(order):
        highest = max(highest, min(1.0, (len(found) - step) * found[place]))
        corrected[place] = highest
    return [float(p) for p in corrected]
