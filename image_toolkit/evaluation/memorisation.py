"""Whether generated images are copies of training images.

A generated image may be memorised if it is nearer to its nearest training image than held-out
images, which were not trained on, are to theirs. Similarity alone does not distinguish this from
quality (Stein et al., "Exposing flaws of generative model evaluation metrics", NeurIPS 2023), so
the nearest pairs are kept for inspection.
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
        nearest: The index of the nearest training image, for each generated image.
        cosines: The cosine to it, from -1 to 1.
        baseline: For each percentile, the cosine that this percentage of held-out images exceeds.
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
    """Compare generated images with training images, against held-out ones as a baseline.

    Args:
        generated: shape (n, dimension).
        training: shape (m, dimension), at least one.
        held_out: shape (k, dimension); if empty, there is no baseline.
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
    """Return the index of the nearest other for each vector, and their cosine."""
    wanted, known = exact_unit_vectors(ones), exact_unit_vectors(others)
    places = np.empty(len(wanted), np.int64)
    cosines = np.empty(len(wanted))
    for start in range(0, len(wanted), _ROWS):
        part = slice(start, start + _ROWS)
        products = wanted[part] @ known.T
        places[part] = products.argmax(axis=1)
        cosines[part] = products.max(axis=1)
    return places, cosines
