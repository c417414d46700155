"""The distance between sets of vectors: against the textbook's sums, and against chance."""

import numpy as np
import pytest

from image_toolkit.vector_drift import MOST, drift_between


def vectors(count, dimension=16, shift=0.0, seed=0):
    """Return vectors around an axis, and another set of the same kind for each seed."""
    made = np.random.default_rng(seed).standard_normal((count, dimension)) + 0.5
    made[:, 0] += shift
    return made.astype(np.float32)


def by_the_book(ones, others):
    """Return the estimate without bias of Gretton et al. (2012), eq. 3, in double precision."""
    ones, others = (x / np.linalg.norm(x.astype(float), axis=1)[:, None] for x in (ones, others))

    def mean(a, b, *, same):
        kernel = np.exp(-((a[:, None] - b[None]) ** 2).sum(axis=2) / 200)
        return (kernel.sum() - len(a) * same) / (len(a) * (len(b) - same))

    within = mean(ones, ones, same=True) + mean(others, others, same=True)
    return 1000 * (within - 2 * mean(ones, others, same=False))


@pytest.mark.parametrize("shift", [0.0, 1.0, 4.0])
def test_the_distance_is_that_of_the_book(shift):
    """To within what float32 can tell; and so is the mean cosine."""
    ones, others = vectors(40), vectors(70, shift=shift, seed=1)
    drift = drift_between(ones, others)
    assert drift.distance == pytest.approx(by_the_book(ones, others), abs=2e-3)
    units = [x / np.linalg.norm(x, axis=1)[:, None] for x in (ones, others)]
    assert drift.mean_cosine == pytest.approx(float((units[0] @ units[1].T).mean()), abs=1e-5)
    assert drift.compared == (40, 70)


def test_samples_of_one_set_are_apart_as_by_chance():
    """In 19 of 20 cases or so; what was shifted is farther apart than that."""
    told = [
        drift_between(vectors(60, seed=2 * n), vectors(90, seed=2 * n + 1)).is_more_than_chance
        for n in range(40)
    ]
    assert sum(told) <= 6
    assert drift_between(vectors(60), vectors(90, shift=2, seed=1)).is_more_than_chance


def test_of_many_vectors_some_are_compared():
    """The same ones each time."""
    ones, others = vectors(MOST + 100), vectors(50, seed=1)
    drift = drift_between(ones, others)
    assert drift.compared == (MOST, 50)
    assert drift == drift_between(ones, others)


@pytest.mark.parametrize("others", [vectors(1), vectors(5, dimension=8)])
def test_what_cannot_be_compared(others):
    """A lone vector, and vectors of another dimension."""
    with pytest.raises(ValueError, match="two sets of two vectors or more"):
        drift_between(vectors(5), others)
