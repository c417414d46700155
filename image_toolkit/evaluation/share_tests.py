"""Which bins hold different shares of two sets: a test of two proportions per bin.

The number of bins that differ is NDB, the number of statistically different bins of Richardson and
Weiss (2018). Here the tests are exact (Fisher), since most bins contain few images, and corrected
for multiple testing (Holm): otherwise, one in twenty equal bins would be called different.
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
    """The share of each set in a bin, and the probability of such a difference by chance.

    `p` is corrected for the number of bins.
    """

    shares: tuple[float, float]
    counts: tuple[int, int]
    p: float

    @property
    def moved(self) -> bool:
        """Whether the difference is significant at 5 %, over all bins together."""
        return self.p < LEVEL

    @property
    def difference(self) -> float:
        """How much larger the second share is."""
        return self.shares[1] - self.shares[0]


def share_tests(ones: NDArray[np.float64], others: NDArray[np.float64]) -> list[ShareTest]:
    """Test each bin; `ones` and `others` are the counts of the two sets."""
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
    """Return p-values corrected for multiple testing, by Holm's method."""
    order = np.argsort(found, kind="stable")
    corrected = np.empty(len(found))
    highest = 0.0
    for step, place in enumerate(order):
        highest = max(highest, min(1.0, (len(found) - step) * found[place]))
        corrected[place] = highest
    return [float(p) for p in corrected]
