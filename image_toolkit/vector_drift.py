"""The distance between two sets of images, by their vectors."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from image_toolkit.evaluation.gaussian_mmd import discrepancies, gaussian_kernel
from image_toolkit.unit_vectors import unit_vectors

MOST: Final = 1_500
"""The number of vectors above which a sample of this size is used."""

_SHUFFLES: Final = 200
_CHANCE: Final = 0.95


@dataclass(frozen=True)
class Drift:
    """The distance between two sets of vectors.

    Attributes:
        mean_cosine: Over all pairs with one vector from each set.
        distance: CMMD, by the unbiased estimate: see `gaussian_mmd`. About 0, possibly below, for
            samples of the same distribution.
        by_chance: The 95th percentile of the distance between random sets of these sizes, drawn
            from the vectors of both sets.
        compared: The number of vectors compared from each set: all, or a sample.
    """

    mean_cosine: float
    distance: float
    by_chance: float
    compared: tuple[int, int]

    @property
    def is_more_than_chance(self) -> bool:
        """Whether the sets are further apart than two samples of the same distribution would be."""
        return self.distance > self.by_chance


def drift_between(ones: NDArray[np.float32], others: NDArray[np.float32]) -> Drift:
    """Return the distance between two sets of vectors, deterministically.

    Args:
        ones: shape (n, dimension), at least two vectors, of any length above 0.
        others: shape (m, dimension), likewise, from the same model.

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
    """Return all vectors, or a sample of `most` in order if there are more."""
    if len(vectors) <= most:
        return vectors
    return vectors[np.sort(generator.choice(len(vectors), most, replace=False))]
