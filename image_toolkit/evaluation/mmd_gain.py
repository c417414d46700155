"""Whether tuning brought a model's images nearer to the originals, by CMMD."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from image_toolkit.evaluation.gaussian_mmd import Floats, discrepancies, gaussian_kernel
from image_toolkit.evaluation.resampling import Figure, Resamples, interval_of, null_of


@dataclass(frozen=True)
class MmdFigures:
    """CMMD of two models from the originals, and from one another; and how much nearer one is."""

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
    """Return how far the base's and the tuned model's images are from the originals.

    The null of the gain and of the drift swaps the two images within pairs; that of a distance from
    the originals shuffles both sets. The biased estimate, as the paper's code has it, stands by.

    Args:
        originals: of shape (n, dimension).
        base: of shape (m, dimension).
        tuned: likewise; the vectors at one place are a pair.
        resamples: for m pairs and n originals.
    """
    kernel = gaussian_kernel(np.concatenate([originals, base, tuned]))
    sets = _Sets(len(originals), len(base))
    ones = np.ones((len(base), 1))
    every = sets.weights(originals=np.ones((len(originals), 1)))
    found = {
        "base": (sets.weights(base=ones), every),
        "tuned": (sets.weights(tuned=ones), every),
        "drift": (sets.weights(base=ones), sets.weights(tuned=ones)),
    }
    values = {name: float(discrepancies(kernel, *pair)[0]) for name, pair in found.items()}
    biased = {
        name: float(discrepancies(kernel, *found[name], biased=True)[0])
        for name in ("base", "tuned")
    }
    pairs, drawn = resamples.drawn_pairs, sets.weights(originals=resamples.drawn_originals)
    of_base, of_tuned = sets.weights(base=pairs), sets.weights(tuned=pairs)
    from_base, from_tuned = (discrepancies(kernel, one, drawn) for one in (of_base, of_tuned))
    swaps = resamples.swapped
    as_base = sets.weights(base=1 - swaps, tuned=swaps)
    as_tuned = sets.weights(base=swaps, tuned=1 - swaps)
    many = np.repeat(every, resamples.count, axis=1)
    no_gain = discrepancies(kernel, as_base, many) - discrepancies(kernel, as_tuned, many)
    gain = values["base"] - values["tuned"]
    far = discrepancies(kernel, of_base, of_tuned)
    no_drift = discrepancies(kernel, as_base, as_tuned)
    shuffled = resamples.shuffled(len(originals), len(base))
    return MmdFigures(
        base=Figure(
            values["base"],
            interval_of(values["base"], from_base),
            null_of(sets.shuffled(kernel, shuffled, "base")),
        ),
        tuned=Figure(
            values["tuned"],
            interval_of(values["tuned"], from_tuned),
            null_of(sets.shuffled(kernel, shuffled, "tuned")),
        ),
        drift=Figure(values["drift"], interval_of(values["drift"], far), null_of(no_drift)),
        gain=Figure(gain, interval_of(gain, from_base - from_tuned), null_of(no_gain)),
        base_biased=biased["base"],
        tuned_biased=biased["tuned"],
    )


class _Sets:
    """Where the three sets stand in one kernel."""

    def __init__(self, originals: int, pairs: int) -> None:
        self._size = originals + 2 * pairs
        self._places = {
            "originals": slice(0, originals),
            "base": slice(originals, originals + pairs),
            "tuned": slice(originals + pairs, self._size),
        }

    def weights(self, **sets: Floats) -> Floats:
        """Return how often each vector is in a set that is put together of the named ones."""
        made = np.zeros((self._size, next(iter(sets.values())).shape[1]))
        for name, own in sets.items():
            made[self._places[name]] = own
        return made

    def shuffled(self, kernel: Floats, first: Floats, model: str) -> Floats:
        """Return the discrepancies of originals and a model's images, mixed as `first` says."""
        count = self._places["originals"].stop
        ones = self.weights(originals=first[:count], **{model: first[count:]})
        others = self.weights(originals=1 - first[:count], **{model: 1 - first[count:]})
        return discrepancies(kernel, ones, others)
