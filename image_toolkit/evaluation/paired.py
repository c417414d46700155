"""A score of two models' images, pair by pair: one prompt and one seed, drawn by both."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from image_toolkit.evaluation.resampling import Figure, Floats, Resamples, interval_of, null_of


@dataclass(frozen=True)
class Paired:
    """A score of two sets of images.

    Attributes:
        base: The mean of the base's, or the score of the set.
        tuned: Likewise of the tuned model's.
        difference: Tuned less base; its null swaps the images within pairs.
        wins: The share of pairs in which the tuned model's is the higher, ties as half; None where
            single images have no score.
        pairs: How many pairs were compared.
    """

    base: float
    tuned: float
    difference: Figure
    wins: float | None
    pairs: int


def paired_means(base: Floats, tuned: Floats, seed: int, count: int) -> Paired:
    """Return the means of scores, of shape (pairs,), drawn again `count` times."""
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
    """Return a score that only a set has, with the null of the difference by `count` swaps.

    It has no interval: what is drawn twice is no diversity, and no neighbour.

    Args:
        score: of vectors, of shape (pairs, dimension).
        base: such vectors.
        tuned: likewise; those at one place are a pair.
        seed: of the swaps.
        count: of the swaps; 0 for no null.
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
