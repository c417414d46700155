"""How far two sets of images are apart, by their vectors."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from image_toolkit.unit_vectors import unit_vectors

MOST: Final = 1_500
"""Vectors of a set beyond which a sample of so many stands for it."""

_SIGMA: Final = 10.0
_SCALE: Final = 1_000.0
"""Both are those of CMMD (Jayasumana et al., "Rethinking FID", CVPR 2024)."""

_SHUFFLES: Final = 200
_CHANCE: Final = 0.95


@dataclass(frozen=True)
class Drift:
    """How far two sets of vectors are apart.

    Attributes:
        mean_cosine: Of all pairs of one vector of each set.
        distance: The squared maximum mean discrepancy of the two, times 1,000: that of CMMD, by the
            estimate without bias. Around 0, and below it too, where they are samples of the same.
        by_chance: What that does not exceed in 95 of 100 cases where the vectors of both sets are
            mixed, and two sets of those sizes drawn from them.
        compared: How many vectors of each set were compared: all, or a sample.
    """

    mean_cosine: float
    distance: float
    by_chance: float
    compared: tuple[int, int]

    @property
    def is_more_than_chance(self) -> bool:
        """Whether the sets are farther apart than two samples of the same would be."""
        return self.distance > self.by_chance


def drift_between(ones: NDArray[np.float32], others: NDArray[np.float32]) -> Drift:
    """Return how far two sets of vectors are apart; the same each time.

    Args:
        ones: of shape (n, dimension), two vectors or more, of any length above 0.
        others: of shape (m, dimension), likewise, of the same model.

    Raises:
        ValueError: a set has fewer than two vectors, or the dimensions differ.
    """
    if min(len(ones), len(others)) < 2 or ones.shape[1] != others.shape[1]:  # noqa: PLR2004
        msg = f"two sets of two vectors or more, not {ones.shape} and {others.shape}."
        raise ValueError(msg)
    generator = np.random.default_rng(0)
    ones, others = (unit_vectors(sample(one, MOST, generator)) for one in (ones, others))
    vectors = np.concatenate([ones, others])
    # A kernel less 1: what all values share makes no difference, and would cost digits.
    squared = 2 - 2 * np.minimum(vectors @ vectors.T, 1)
    kernel = np.expm1(squared / (-2 * _SIGMA**2))
    np.fill_diagonal(kernel, 0)
    first = np.zeros((len(vectors), _SHUFFLES + 1), np.float32)
    first[: len(ones), 0] = 1
    for column in range(1, _SHUFFLES + 1):
        first[generator.permutation(len(vectors))[: len(ones)], column] = 1
    distances = _discrepancies(kernel, first, len(ones))
    return Drift(
        mean_cosine=float(ones.mean(axis=0) @ others.mean(axis=0)),
        distance=float(distances[0]),
        by_chance=float(np.quantile(distances[1:], _CHANCE)),
        compared=(len(ones), len(others)),
    )


def sample(
    vectors: NDArray[np.float32], most: int, generator: np.random.Generator
) -> NDArray[np.float32]:
    """Return all vectors, or some of them in their order where there are more than `most`."""
    if len(vectors) <= most:
        return vectors
    return vectors[np.sort(generator.choice(len(vectors), most, replace=False))]


def _discrepancies(
    kernel: NDArray[np.float32], first: NDArray[np.float32], count: int
) -> NDArray[np.float64]:
    """Return the discrepancy of each division of the vectors into a first set and the rest.

    Args:
        kernel: of shape (n, n), zeros on the diagonal.
        first: of shape (n, divisions): 1 for the `count` vectors of the first set, else 0.
        count: of the first set.
    """
    rest = len(kernel) - count
    to_first = (kernel @ first).astype(np.float64)
    to_all = kernel.sum(axis=1, dtype=np.float64)
    within_first = (to_first * first).sum(axis=0)
    across = to_first.sum(axis=0) - within_first
    within_rest = to_all.sum() - within_first - 2 * across
    mean = within_first / (count * (count - 1)) + within_rest / (rest * (rest - 1))
    return np.asarray(_SCALE * (mean - 2 * across / (count * rest)))
