"""Whether generated images are copies of training images.

A generated image that is nearer to its nearest training image than held-out images, which nobody
trained on, are to theirs may be remembered. Figures of likeness alone do not tell that apart from
quality (Stein et al., "Exposing flaws of generative model evaluation metrics", NeurIPS 2023), so
the nearest pairs are there to be looked at.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from image_toolkit.unit_vectors import exact_unit_vectors

_ROWS: Final = 1_024
PERCENTILES: Final = (1, 5)


@dataclass(frozen=True)
class Memorisation:
    """How near generated images are to training images.

    Attributes:
        nearest: For each generated image, which training image is the nearest.
        cosines: And how near it is, from -1 to 1.
        baseline: For each percentile, the cosine that so many in a hundred held-out images exceed.
        nearer: For each percentile, the share of generated images that exceed it.
    """

    nearest: NDArray[np.int64]
    cosines: NDArray[np.float64]
    baseline: dict[int, float]
    nearer: dict[int, float]


def memorisation(
    generated: NDArray[np.floating],
    training: NDArray[np.floating],
    held_out: NDArray[np.floating],
) -> Memorisation:
    """Return how near generated images are to training images, against held-out ones.

    Args:
        generated: of shape (n, dimension).
        training: of shape (m, dimension), one or more.
        held_out: of shape (k, dimension); where there are none, there is no baseline.
    """
    nearest, cosines = nearest_of(generated, training)
    baseline: dict[int, float] = {}
    if len(held_out):
        _, usual = nearest_of(held_out, training)
        baseline = {p: float(np.percentile(usual, 100 - p)) for p in PERCENTILES}
    nearer = {p: float((cosines > cosine).mean()) for p, cosine in baseline.items()}
    return Memorisation(nearest, cosines, baseline, nearer)


def nearest_of(
    ones: NDArray[np.floating], others: NDArray[np.floating]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return which of the others is nearest to each vector, and the cosine of the two."""
    wanted, known = exact_unit_vectors(ones), exact_unit_vectors(others)
    places = np.empty(len(wanted), np.int64)
    cosines = np.empty(len(wanted))
    for start in range(0, len(wanted), _ROWS):
        part = slice(start, start + _ROWS)
        products = wanted[part] @ known.T
        places[part] = products.argmax(axis=1)
        cosines[part] = products.max(axis=1)
    return places, cosines
