"""Precision and recall of generated images, by the neighbourhoods of their vectors.

Kynkäänniemi et al., "Improved Precision and Recall" (NeurIPS 2019): the manifold of the real images
consists of balls around them, each reaching to the third nearest neighbour; precision is the share
of generated images within it, and recall the share of real images within the generated images'
manifold.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from image_toolkit.unit_vectors import exact_unit_vectors

Floats = NDArray[np.float64]

NEIGHBOURS: Final = 3
_ROWS: Final = 1_024


class PrecisionRecall(NamedTuple):
    """Two shares, from 0 to 1."""

    precision: float
    recall: float


def precision_and_recall(
    real: NDArray[np.floating], generated: NDArray[np.floating], neighbours: int = NEIGHBOURS
) -> PrecisionRecall:
    """Return how many generated images look real, and how many real images are covered.

    Both depend on the number of images: compare only sets of the same size.

    Args:
        real: shape (n, dimension), with n above `neighbours`.
        generated: shape (m, dimension), likewise.
        neighbours: How many neighbours of its own kind a ball reaches.
    """
    ones, others = exact_unit_vectors(real), exact_unit_vectors(generated)
    return PrecisionRecall(_covered(others, ones, neighbours), _covered(ones, others, neighbours))


def _covered(points: Floats, centres: Floats, neighbours: int) -> float:
    """Return the share of points within a ball around any of the centres."""
    squared = np.concatenate(
        [
            np.partition(_squared(part, centres), neighbours, axis=1)[:, neighbours]
            for part in _parts(centres)
        ]
    )
    inside = [(_squared(part, centres) <= squared).any(axis=1) for part in _parts(points)]
    return float(np.concatenate(inside).mean())


def _parts(points: Floats) -> list[Floats]:
    return [points[start : start + _ROWS] for start in range(0, len(points), _ROWS)]


def _squared(ones: Floats, others: Floats) -> Floats:
    """Return squared distances, exactly 0 for equal vectors, despite rounding."""
    squared = 2 - 2 * (ones @ others.T)
    return np.asarray(np.where(squared < 1e-12, 0, squared))  # noqa: PLR2004 - of doubles
