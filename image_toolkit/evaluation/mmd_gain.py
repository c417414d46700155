"""Whether tuning brought a model's images nearer to the originals, by CMMD."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from image_toolkit.evaluation.gaussian_mmd import Floats, discrepancies, gaussian_kernel
from image_toolkit.evaluation.resampling import Figure, Resamples, interval_of, null_of


@dataclass(frozen=True)
class MmdFigures:
    """CMMD of both models from the originals, and from each other; and how much nearer one is."""

    base: Figure
    tuned: Figure
    drift: Figure
    gain: Figure
    base_biased: float
    tuned_biased: float


def mmd_figures(
    originals: NDArray[np.floating],
    base: NDArray[np.floating],
    tuned: NDArray[np.floating],
    resamples: Resamples,
) -> MmdFigures:
    """Return how far the images of the base and the tuned model are from the originals.

    The null of gain and drift swaps the two images within pairs; that of a distance from the
    originals shuffles both sets. The biased estimate, as in the paper's code, is reported as well.

    Args:
        originals: shape (n, dimension).
        base: shape (m, dimension).
        tuned: likewise; vectors at the same index form a pair.
        resamples: for m pairs and n originals.
    """
    sets = _Sets(originals, base, tuned, resamples)
    return MmdFigures(
        base=sets.distance("base"),
        tuned=sets.distance("tuned"),
        drift=sets.drift(),
        gain=sets.gain(),
        base_biased=sets.value("base", "originals", biased=True),
        tuned_biased=sets.value("tuned", "originals", biased=True),
    )


class _Sets:
    """The three sets in one kernel matrix, and their resamples."""

    def __init__(
        self,
        originals: NDArray[np.floating],
        base: NDArray[np.floating],
        tuned: NDArray[np.floating],
        resamples: Resamples,
    ) -> None:
        self._kernel = gaussian_kernel(np.concatenate([originals, base, tuned]))
        self._resamples = resamples
        sizes = {"originals": len(originals), "base": len(base), "tuned": len(tuned)}
        self._places: dict[str, slice] = {}
        end = 0
        for name, size in sizes.items():
            self._places[name] = slice(end, end + size)
            end += size
        self._whole = {name: self._weights({name: np.ones((sizes[name], 1))}) for name in sizes}
        self._drawn = {
            "originals": self._weights({"originals": resamples.drawn_originals}),
            "base": self._weights({"base": resamples.drawn_pairs}),
            "tuned": self._weights({"tuned": resamples.drawn_pairs}),
        }
        swaps = resamples.swapped
        self._swapped = {
            "originals": np.repeat(self._whole["originals"], resamples.count, axis=1),
            "base": self._weights({"base": 1 - swaps, "tuned": swaps}),
            "tuned": self._weights({"base": swaps, "tuned": 1 - swaps}),
        }
        self._from_originals = {
            name: self._discrepancies(self._drawn[name], self._drawn["originals"])
            for name in ("base", "tuned")
        }

    def value(self, one: str, other: str, *, biased: bool = False) -> float:
        """Return the discrepancy between two of the sets."""
        pair = self._whole[one], self._whole[other]
        return float(discrepancies(self._kernel, *pair, biased=biased)[0])

    def distance(self, model: str) -> Figure:
        """Return how far a model's images are from the originals."""
        value, count = self.value(model, "originals"), self._places["originals"].stop
        first = self._resamples.shuffled(count, len(self._resamples.drawn_pairs))
        mixed = self._discrepancies(
            self._weights({"originals": first[:count], model: first[count:]}),
            self._weights({"originals": 1 - first[:count], model: 1 - first[count:]}),
        )
        return Figure(value, interval_of(value, self._from_originals[model]), null_of(mixed))

    def drift(self) -> Figure:
        """Return how far the two models' images are from each other."""
        value = self.value("base", "tuned")
        drawn = self._discrepancies(self._drawn["base"], self._drawn["tuned"])
        swapped = self._discrepancies(self._swapped["base"], self._swapped["tuned"])
        return Figure(value, interval_of(value, drawn), null_of(swapped))

    def gain(self) -> Figure:
        """Return how much nearer to the originals the tuned model's images are."""
        value = self.value("base", "originals") - self.value("tuned", "originals")
        drawn = self._from_originals["base"] - self._from_originals["tuned"]
        before, after = (
            self._discrepancies(self._swapped[name], self._swapped["originals"])
            for name in ("base", "tuned")
        )
        return Figure(value, interval_of(value, drawn), null_of(before - after))

    def _discrepancies(self, ones: Floats, others: Floats) -> Floats:
        return discrepancies(self._kernel, ones, others)

    def _weights(self, sets: Mapping[str, Floats]) -> Floats:
        """Return how often each vector is in a set composed of the named ones."""
        columns = next(iter(sets.values())).shape[1]
        made = np.zeros((self._places["tuned"].stop, columns))
        for name, own in sets.items():
            made[self._places[name]] = own
        return made
