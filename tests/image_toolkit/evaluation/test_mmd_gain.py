"""Whether the gain by CMMD is told from chance."""

import numpy as np
import pytest

from image_toolkit.evaluation.mmd_gain import mmd_figures
from image_toolkit.evaluation.resampling import Resamples
from tests.image_toolkit.evaluation.cmmd import cmmd
from tests.image_toolkit.evaluation.made_vectors import blobs


def sets(base, tuned, size=40, seed=0):
    """Return originals of one kind, and two models' images with so many of that kind."""
    originals, _ = blobs({"class0": size}, 10 * seed)
    made = [
        blobs({"class0": own, "class1": size - own}, 10 * seed + n)[0]
        for n, own in ((1, base), (2, tuned))
    ]
    return originals, *made


def test_the_figures_are_cmmd():
    """Of each model from the originals, in both estimates, and the gain is their difference."""
    originals, base, tuned = sets(5, 30)
    found = mmd_figures(originals, base, tuned, Resamples(40, 40, 0, 100))
    assert found.base.value == pytest.approx(cmmd(base, originals))
    assert found.tuned.value == pytest.approx(cmmd(tuned, originals))
    assert found.tuned_biased == pytest.approx(cmmd(tuned, originals, biased=True))
    assert found.drift.value == pytest.approx(cmmd(base, tuned))
    assert found.gain.value == pytest.approx(found.base.value - found.tuned.value)
    assert found.base.value > found.base.null.p99


def test_a_model_that_learned_is_told_from_one_that_did_not():
    """Its gain is above the null and its interval above 0; that of no change is neither."""
    learned = mmd_figures(*sets(5, 35), Resamples(40, 40, 0, 400)).gain
    assert learned.is_above_chance
    worse = mmd_figures(*sets(35, 5), Resamples(40, 40, 0, 400)).gain
    assert worse.value < -worse.null.p99
    same = mmd_figures(*sets(20, 20), Resamples(40, 40, 0, 400)).gain
    assert not same.is_above_chance
    assert same.interval.low < 0 < same.interval.high


def test_chance_alone_seldom_passes_for_a_gain():
    """Of 100 pairs of the same model's images, few are above the null's 99th percentile."""
    generator = np.random.default_rng(0)
    passed = 0
    for seed in range(100):
        originals, base, tuned = (generator.standard_normal((20, 8)) + 0.5 for _ in range(3))
        passed += mmd_figures(
            originals, base, tuned, Resamples(20, 20, seed, 200)
        ).gain.is_above_chance
    assert passed <= 5


def test_intervals_cover():
    """Of 100 samples, about 95 in 100 have the gain of very large ones in their interval."""
    generator = np.random.default_rng(1)

    def drawn(count, shift):
        made = generator.standard_normal((count, 6)) + 1
        made[:, 0] += shift
        return made

    large = [drawn(1200, shift) for shift in (0, 1.5, 0.7)]
    gain = cmmd(large[1], large[0]) - cmmd(large[2], large[0])
    covered = 0
    for seed in range(100):
        made = [drawn(40, shift) for shift in (0, 1.5, 0.7)]
        interval = mmd_figures(*made, Resamples(40, 40, seed, 200)).gain.interval
        covered += interval.low <= gain <= interval.high
    assert 88 <= covered <= 100
