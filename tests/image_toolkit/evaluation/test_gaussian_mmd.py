"""CMMD against the sums of the book, written out in double precision."""

import numpy as np
import pytest

from image_toolkit.evaluation.gaussian_mmd import discrepancies, gaussian_kernel
from tests.image_toolkit.evaluation.cmmd import cmmd


def vectors(count, shift=0.0, seed=0):
    """Return vectors, float32 as an embedder gives them."""
    made = np.random.default_rng(seed).standard_normal((count, 24)) + 0.4
    made[:, 0] += shift
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def by_the_book(ones, others, *, biased):
    """Return the double sums of Gretton et al., pair by pair; biased, as in the paper's code."""

    def mean(a, b, *, same):
        values = [
            np.exp(-np.square(x.astype(float) - y.astype(float)).sum() / (2 * 10**2))
            for i, x in enumerate(a)
            for j, y in enumerate(b)
            if biased or not same or i != j
        ]
        return sum(values) / len(values)

    within = mean(ones, ones, same=True) + mean(others, others, same=True)
    return 1000 * (within - 2 * mean(ones, others, same=False))


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("shift", [0.0, 0.5, 3.0])
def test_the_figure_is_that_of_the_double_sums(biased, shift):
    """To 1e-4, for sets of two sizes."""
    ones, others = vectors(30), vectors(45, shift, seed=1)
    wanted = by_the_book(ones, others, biased=biased)
    assert cmmd(ones, others, biased=biased) == pytest.approx(wanted, abs=1e-4)


def test_the_biased_estimate_of_equal_sets_is_nothing():
    """The other one is a little below, for it leaves out what a vector shares with itself."""
    ones = vectors(20)
    assert cmmd(ones, ones, biased=True) == pytest.approx(0, abs=1e-9)
    assert cmmd(ones, ones) < 0


def test_samples_of_the_same_have_no_distance_on_average():
    """Without bias it is around 0 at any size; the biased one is far above with few."""
    found = [cmmd(vectors(12, seed=n), vectors(12, seed=1000 + n)) for n in range(200)]
    error = np.std(found) / len(found) ** 0.5
    assert abs(np.mean(found)) < 3 * error
    biased = [cmmd(vectors(12, seed=n), vectors(12, seed=999 + n), biased=True) for n in range(20)]
    assert min(biased) > 3 * max(error, abs(np.mean(found)))


def test_a_vector_that_is_drawn_twice_is_not_compared_with_itself():
    """So a bootstrap has no bias of its own: weights of 2 are as weights of 1."""
    kernel = gaussian_kernel(np.concatenate([vectors(10), vectors(8, 1, seed=1)]))
    first = (np.arange(18) < 10).astype(float)[:, None]
    once = discrepancies(kernel, first, 1 - first)
    twice = discrepancies(kernel, 2 * first, 2 * (1 - first))
    assert twice == pytest.approx(once, abs=1e-9)
