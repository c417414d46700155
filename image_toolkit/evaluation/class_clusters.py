"""Clusters of vectors within classes: the bins over which sets of images are compared.

As in Richardson and Weiss, "On GANs and GMMs" (2018), but within classes: k-means on the first
principal components. All sets to be compared must be included: in many dimensions, clusters fit the
data that they were made from, and a set that was left out would appear to differ. With too many
bins, any two sets differ: so there are about as many as the square root of the smallest set's size,
and at least one per class.
"""

from collections.abc import Sequence
from math import isqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import ClusterError, kmeans2, vq

from image_toolkit.unit_vectors import exact_unit_vectors

Floats = NDArray[np.float64]

_COMPONENTS: Final = 50
_TRIES: Final = 8
_ITERATIONS: Final = 50


class ClassClusters:
    """Assigns vectors to bins, by class and by the nearest cluster centre within it.

    Attributes:
        bin_classes: The class of each bin.
        dimensions: The number of principal components.
    """

    def __init__(
        self,
        vectors: NDArray[np.floating],
        classes: Sequence[str],
        smallest_set: int,
        seed: int,
    ) -> None:
        """Find the clusters of all sets together.

        Args:
            vectors: shape (n, dimension), in an order that is always the same.
            classes: the class of each vector.
            smallest_set: the size of the smallest set to be compared.
            seed: for k-means.
        """
        units = exact_unit_vectors(vectors)
        self._mean = units.mean(axis=0)
        _, _, axes = np.linalg.svd(units - self._mean, full_matrices=False)
        self._axes = axes[:_COMPONENTS]
        self.dimensions = len(self._axes)
        points, own = self._projected(units), np.asarray(classes, object)
        self._middles: dict[str, Floats] = {}
        for name in sorted(set(classes)):
            inside = points[own == name]
            wanted = round(isqrt(smallest_set) * len(inside) / len(points))
            self._middles[name] = _middles(inside, max(wanted, 1), seed)
        self.bin_classes = [name for name, own in self._middles.items() for _ in own]
        sizes = np.cumsum([0, *map(len, self._middles.values())])
        self._first = dict(zip(self._middles, sizes.tolist(), strict=False))

    def bins_of(self, vectors: NDArray[np.floating], classes: Sequence[str]) -> NDArray[np.int64]:
        """Return the bin of each vector; its class must be one of those given before."""
        points, own = self._projected(exact_unit_vectors(vectors)), np.asarray(classes, object)
        found = np.empty(len(points), np.int64)
        for name, middles in self._middles.items():
            inside = own == name
            if inside.any():
                found[inside] = self._first[name] + vq(points[inside], middles)[0]
        return found

    def _projected(self, units: Floats) -> Floats:
        return np.asarray((units - self._mean) @ self._axes.T)


def _middles(points: Floats, wanted: int, seed: int) -> Floats:
    """Return cluster centres: as many as wanted, or fewer if points coincide."""
    generator = np.random.default_rng(seed)
    best, least = points.mean(axis=0, keepdims=True), np.inf
    for number in range(min(wanted, len(np.unique(points, axis=0))), 1, -1):
        for _ in range(_TRIES):
            try:
                middles, _ = kmeans2(
                    points, number, _ITERATIONS, minit="++", missing="raise", seed=generator
                )
            except ClusterError:  # an empty cluster
                continue
            spread = float((vq(points, middles)[1] ** 2).sum())
            if spread < least:
                best, least = middles, spread
        if least < np.inf:
            break
    return np.asarray(best[np.lexsort(best.T[::-1])])
