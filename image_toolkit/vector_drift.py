"""How far two sets of images are apart, by their vectors."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from image_toolkit.evaluation.gaussian_mmd import discrepancies, gaussian_kernel
from image_toolkit.unit_vectors import unit_vectors

MOST: Final = 1_500
"""Vectors of a set beyond which a sample of so many stands for it."""

_SHUFFLES: Final = 200
_CHANCE: Final = 0.95


@dataclass(frozen=True)
class Drift:
    """How far two sets of vectors are apart.

    Attributes:
        mean_cosine: Of all pairs of one vector of each set.
        distance: That of CMMD, by the estimate without bias: see `gaussian_mmd`. Around 0, and
            below it too, where they are samples of the same.
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
    kernel = gaussian_kernel(np.concatenate([ones, others]))
    first = np.zeros((len(kernel), _SHUFFLES + 1))
    first[: len(ones), 0] = 1
    for column in range(1, _SHUFFLES + 1):
        first[generator.permutation(len(kernel))[: len(ones)], column] = 1
    distances = discrepancies(kernel, first, 1 - first)
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
