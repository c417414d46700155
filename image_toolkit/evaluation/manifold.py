"""Precision and recall of generated images, by the neighbourhoods of their vectors.

Kynkäänniemi et al., "Improved Precision and Recall" (NeurIPS 2019): the real images' manifold is
made of balls around them, each as wide as the distance to the third nearest; precision is the share
of generated images in it, and recall the share of real ones in the generated images' manifold.
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
    """Return how much of the generated images looks real, and how much of the real ones is covered.

    Both depend on how many images there are: compare sets of one size only.

    Args:
        real: of shape (n, dimension), more than `neighbours`.
        generated: of shape (m, dimension), likewise.
        neighbours: How many of its own kind a ball reaches.
    """
    ones, others = exact_unit_vectors(real), exact_unit_vectors(generated)
    return PrecisionRecall(_covered(others, ones, neighbours), _covered(ones, others, neighbours))


def _covered(points: Floats, centres: Floats, neighbours: int) -> float:
    """Return the share of points that lie in a ball around one of the centres."""
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
    """Return squared distances, those of like vectors as exactly 0 as their product can tell."""
    squared = 2 - 2 * (ones @ others.T)
    return np.asarray(np.where(squared < 1e-12, 0, squared))  # noqa: PLR2004 - of double precision
