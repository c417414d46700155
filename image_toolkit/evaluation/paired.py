"""Paired scores of two models' images: each pair has the same prompt and the same seed."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from image_toolkit.evaluation.resampling import Figure, Floats, Resamples, interval_of, null_of


@dataclass(frozen=True)
class Paired:
    """A score of two sets of images.

    Attributes:
        base: The mean of the base's scores, or the score of its set.
        tuned: Likewise for the tuned model.
        difference: Tuned minus base; its null swaps the images within pairs.
        wins: The share of pairs in which the tuned model scores higher, ties counting half; None if
            individual images have no score.
        pairs: The number of pairs compared.
    """

    base: float
    tuned: float
    difference: Figure
    wins: float | None
    pairs: int


def paired_means(base: Floats, tuned: Floats, seed: int, count: int) -> Paired:
    """Compare the means of scores, shape (pairs,), with `count` resamples."""
    resamples = Resamples(len(base), 0, seed, count)
    higher = tuned - base
    value = float(higher.mean())
    drawn = higher @ resamples.drawn_pairs / len(higher)
    chance = higher @ (1 - 2 * resamples.swapped) / len(higher)
    return Paired(
        base=float(base.mean()),
        tuned=float(tuned.mean()),
        difference=Figure(value, interval_of(value, drawn), null_of(chance)),
        wins=float((higher > 0).mean() + (higher == 0).mean() / 2),
        pairs=len(higher),
    )


def paired_sets(
    score: Callable[[NDArray[np.floating]], float],
    base: NDArray[np.floating],
    tuned: NDArray[np.floating],
    seed: int,
    count: int,
) -> Paired:
    """Compare a score that only sets have, with a null from `count` swaps.

    It has no interval: an image drawn twice adds no diversity, and is not a neighbour.

    Args:
        score: a function of vectors, shape (pairs, dimension).
        base: such vectors.
        tuned: likewise; vectors at the same index form a pair.
        seed: for the swaps.
        count: the number of swaps; 0 for no null.
    """
    one, other = score(base), score(tuned)
    null = None
    if count:
        differences = []
        for swapped in Resamples(len(base), 0, seed, count).swapped.T.astype(bool)[:, :, None]:
            mixed = np.where(swapped, tuned, base), np.where(swapped, base, tuned)
            differences.append(score(mixed[1]) - score(mixed[0]))
        null = null_of(np.array(differences))
    return Paired(one, other, Figure(other - one, null=null), None, len(base))
