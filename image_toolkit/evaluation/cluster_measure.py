"""How three sets of images are distributed over clusters: originals, base model, tuned model.

Pairwise divergences over clusters within classes. By the chain rule, each is the sum of the
divergence over classes and the contribution of the clusters within them. With few images, chance
alone gives more than 0, so each is reported with its null distribution.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from image_toolkit.evaluation.divergences import js, kl, smoothed
from image_toolkit.evaluation.resampling import Figure, Resamples, interval_of, null_of

Floats = NDArray[np.float64]
Divergence = Callable[[Floats, Floats], Floats]

BASE, TUNED, ORIGINALS = "base", "tuned", "originals"
COMPARED: Final = ((BASE, TUNED), (ORIGINALS, TUNED), (BASE, ORIGINALS))
PARTS: Final = ("whole", "over_classes", "inside_classes")
DIVERGENCES: Final[Mapping[str, Divergence]] = {
    "js": js,
    "kl": kl,
    "kl_reverse": lambda ones, others: kl(others, ones),
}


@dataclass(frozen=True)
class Binned:
    """The number of crops of each image in each bin, shape (images, bins).

    Images of `base` and `tuned` at the same index form a pair. `bin_classes` is the class of each
    bin.
    """

    originals: Floats
    base: Floats
    tuned: Floats
    bin_classes: Sequence[str]

    def of(self, name: str) -> Floats:
        """Return one of the three sets by name."""
        return {ORIGINALS: self.originals, BASE: self.base, TUNED: self.tuned}[name]

    def counts(self, name: str) -> Floats:
        """Return the number of crops of a set in each bin."""
        return np.asarray(self.of(name).sum(axis=0))


@dataclass(frozen=True)
class ClusterFigures:
    """Divergences in nats.

    Attributes:
        pairs: By the names of two sets, such as `base/tuned`, then by divergence, then by part.
        gain: By part: how much nearer to the originals the tuned model is than the base, by JS.
        drift: By part: how far the tuned model is from the base, by JS.
    """

    pairs: Mapping[str, Mapping[str, Mapping[str, Figure]]]
    gain: Mapping[str, Figure]
    drift: Mapping[str, Figure]


def cluster_figures(binned: Binned, resamples: Resamples) -> ClusterFigures:
    """Return all divergences with their nulls, and gain and drift with intervals as well."""
    measure = _Measure(binned, resamples)
    return ClusterFigures(
        {"/".join(pair): measure.divergences(*pair) for pair in COMPARED},
        measure.gain(),
        measure.drift(),
    )


class _Measure:
    """The counts of the three sets, resampled in three ways."""

    def __init__(self, binned: Binned, resamples: Resamples) -> None:
        self._binned, self._resamples = binned, resamples
        names = sorted(set(binned.bin_classes))
        own = np.asarray(binned.bin_classes, object)
        self._to_classes = np.stack([(own == name).astype(float) for name in names])
        self._counts = {name: binned.counts(name)[:, None] for pair in COMPARED for name in pair}
        base, tuned, swapped = binned.base.T, binned.tuned.T, resamples.swapped
        self._swapped = {
            BASE: base @ (1 - swapped) + tuned @ swapped,
            TUNED: base @ swapped + tuned @ (1 - swapped),
            ORIGINALS: self._counts[ORIGINALS],
        }
        self._drawn = {
            BASE: base @ resamples.drawn_pairs,
            TUNED: tuned @ resamples.drawn_pairs,
            ORIGINALS: binned.originals.T @ resamples.drawn_originals,
        }

    def divergences(self, one: str, other: str) -> dict[str, dict[str, Figure]]:
        """Return the divergences of two sets, with their nulls."""
        nulls = self._null_counts(one, other)
        made: dict[str, dict[str, Figure]] = {}
        for name, divergence in DIVERGENCES.items():
            values = self._parts(divergence, self._counts[one], self._counts[other])
            chance = self._parts(divergence, *nulls)
            made[name] = {
                part: Figure(float(values[part][0]), null=null_of(chance[part])) for part in PARTS
            }
        return made

    def gain(self) -> dict[str, Figure]:
        """Return how much nearer to the originals the tuned model is than the base."""
        return self._figures(self._gains)

    def drift(self) -> dict[str, Figure]:
        """Return how far the tuned model is from the base."""
        return self._figures(lambda sets: self._parts(js, sets[BASE], sets[TUNED]))

    def _figures(
        self, measured: Callable[[Mapping[str, Floats]], dict[str, Floats]]
    ) -> dict[str, Figure]:
        values, drawn, chance = map(measured, (self._counts, self._drawn, self._swapped))
        return {
            part: Figure(
                float(values[part][0]),
                interval_of(float(values[part][0]), drawn[part]),
                null_of(chance[part]),
            )
            for part in PARTS
        }

    def _gains(self, sets: Mapping[str, Floats]) -> dict[str, Floats]:
        before = self._parts(js, sets[BASE], sets[ORIGINALS])
        after = self._parts(js, sets[TUNED], sets[ORIGINALS])
        return {part: before[part] - after[part] for part in PARTS}

    def _null_counts(self, one: str, other: str) -> tuple[Floats, Floats]:
        """Return the counts of two sets under the null: pairs are swapped, other sets shuffled."""
        if {one, other} == {BASE, TUNED}:
            return self._swapped[one], self._swapped[other]
        ones, others = self._binned.of(one), self._binned.of(other)
        first = np.concatenate([ones, others]).T @ self._resamples.shuffled(len(ones), len(others))
        return first, self._counts[one] + self._counts[other] - first

    def _parts(self, divergence: Divergence, ones: Floats, others: Floats) -> dict[str, Floats]:
        """Return a divergence as a whole, over classes, and within them, shape (many,)."""
        p, q = smoothed(ones), smoothed(others)
        whole = divergence(p, q)
        over = divergence(self._to_classes @ p, self._to_classes @ q)
        return dict(zip(PARTS, (whole, over, whole - over), strict=True))
