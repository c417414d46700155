"""The effect of chance on a figure: bootstrap intervals, and nulls by swaps and shuffles.

The unit is the image. Images of the base and the tuned model form pairs, generated from the same
prompt and seed: a pair is drawn, or swapped, as a whole.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEVEL: Final = 0.95
"""Coverage of the intervals."""


@dataclass(frozen=True)
class Interval:
    """The two ends of a 95 % interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Null:
    """The distribution of a figure without a difference: mean, 95th and 99th percentile."""

    mean: float
    p95: float
    p99: float


@dataclass(frozen=True)
class Figure:
    """A figure, with its interval and its null, if any."""

    value: float
    interval: Interval | None = None
    null: Null | None = None

    @property
    def is_above_chance(self) -> bool:
        """Whether chance gives as much in less than 1 % of cases, and the interval is above 0."""
        return (
            self.null is not None
            and self.value > self.null.p99
            and (self.interval is None or self.interval.low > 0)
        )


@dataclass(frozen=True)
class Resamples:
    """Resamples of pairs and originals, the same for the same seed.

    Attributes:
        pairs: The number of pairs of a base's and a tuned model's image.
        originals: The number of originals that they are compared with.
        seed: The seed of all resamples.
        count: The number of resamples.
    """

    pairs: int
    originals: int
    seed: int
    count: int = 1_000

    @cached_property
    def drawn_pairs(self) -> Floats:
        """How often each pair is drawn, shape (pairs, count)."""
        return self._drawn(self.pairs, 0)

    @cached_property
    def drawn_originals(self) -> Floats:
        """How often each original is drawn, shape (originals, count)."""
        return self._drawn(self.originals, 1)

    @cached_property
    def swapped(self) -> Floats:
        """Which pairs are swapped, 1 or 0, shape (pairs, count)."""
        generator = np.random.default_rng([self.seed, 2])
        return generator.integers(0, 2, (self.pairs, self.count)).astype(np.float64)

    def shuffled(self, ones: int, others: int) -> Floats:
        """Shuffle two sets together: return which members are now in the first, 1 or 0.

        Shape (ones + others, count).
        """
        generator = np.random.default_rng([self.seed, 3])
        first = np.repeat([1.0, 0.0], [ones, others])
        drawn = generator.permuted(np.tile(first, (self.count, 1)), axis=1)
        return np.ascontiguousarray(drawn.T)

    def _drawn(self, size: int, kind: int) -> Floats:
        generator = np.random.default_rng([self.seed, kind])
        drawn = generator.multinomial(size, np.full(size, 1 / size), self.count)
        return np.ascontiguousarray(drawn.T, np.float64)


def interval_of(value: float, replicates: Floats) -> Interval:
    """Return the basic (pivot) bootstrap interval.

    A divergence of resampled sets is larger than that of the full ones; so the deviations of the
    replicates are mirrored around the value.
    """
    low, high = np.quantile(replicates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(2 * value - high), float(2 * value - low))


def null_of(replicates: Floats) -> Null:
    """Return the null distribution's mean and percentiles."""
    p95, p99 = np.quantile(replicates, [0.95, 0.99])
    return Null(float(replicates.mean()), float(p95), float(p99))
