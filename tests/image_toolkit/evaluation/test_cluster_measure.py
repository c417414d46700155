"""Divergences over clusters, against planted ones."""

from itertools import pairwise

import numpy as np
import pytest

from image_toolkit.evaluation.class_clusters import ClassClusters
from image_toolkit.evaluation.cluster_measure import (
    BASE,
    COMPARED,
    ORIGINALS,
    PARTS,
    TUNED,
    Binned,
    cluster_figures,
)
from image_toolkit.evaluation.divergences import js, kl, smoothed
from image_toolkit.evaluation.resampling import Resamples
from image_toolkit.evaluation.share_tests import share_tests
from tests.image_toolkit.evaluation.made_vectors import blobs

EVEN = {"class0": 30, "class1": 30, "class2": 30, "class3": 30}


def binned(originals, base, tuned, seed=0):
    """Return three sets in the bins of all."""
    three = originals, base, tuned
    vectors = np.concatenate([own for own, _ in three])
    classes = [name for _, names in three for name in names]
    clusters = ClassClusters(vectors, classes, min(len(names) for _, names in three), seed)
    size = len(clusters.bin_classes)
    sets = [np.eye(size)[clusters.bins_of(*one)] for one in three]
    return Binned(*sets, clusters.bin_classes)


def figures(*sets, seed=0, count=400):
    """Return the figures of three sets."""
    made = binned(*sets)
    return cluster_figures(made, Resamples(len(made.base), len(made.originals), seed, count))


def test_equal_sets_are_inside_their_null():
    """Samples of one distribution: no divergence above the 99th percentile, and no gain."""
    found = figures(*(blobs(EVEN, seed) for seed in (1, 2, 3)))
    for pair in COMPARED:
        for divergence in ("js", "kl", "kl_reverse"):
            one = found.pairs["/".join(pair)][divergence]["whole"]
            assert one.value <= one.null.p99, (pair, divergence)
    assert not found.gain["whole"].is_above_chance
    assert found.gain["whole"].interval.low < 0 < found.gain["whole"].interval.high


def test_no_set_is_far_because_it_is_new_to_the_clusters():
    """In many dimensions, where clusters fit what they were found in, equal sets seldom differ."""
    generator = np.random.default_rng(1)
    alarms = np.zeros(4)
    for seed in range(60):
        sets = [(generator.standard_normal((60, 200)) + 0.2, ["class0"] * 60) for _ in range(3)]
        found = figures(*sets, seed=seed, count=200)
        tested = [found.gain["whole"], *(found.pairs["/".join(p)]["js"]["whole"] for p in COMPARED)]
        alarms += [one.value > one.null.p95 for one in tested]
    assert (alarms <= 9).all()  # 3 are expected; with clusters of two of the sets it is 15


def test_a_base_that_lacks_a_class_is_far_and_the_tuned_model_near():
    """Gain and drift are both above what chance gives, over the classes and as a whole."""
    lacking = {"class0": 38, "class1": 40, "class2": 40, "class3": 2}
    found = figures(blobs(EVEN, 1), blobs(lacking, 2), blobs(EVEN, 3))
    for part in ("whole", "over_classes"):
        assert found.gain[part].is_above_chance
        assert found.drift[part].value > found.drift[part].null.p99
    far, near = found.pairs["base/originals"]["js"], found.pairs["originals/tuned"]["js"]
    assert far["over_classes"].value > far["over_classes"].null.p99
    assert near["over_classes"].value <= near["over_classes"].null.p99


def test_a_shift_planted_in_one_class_flags_it_and_only_it():
    """By the shares of classes, and of clusters: all that moved are of that class."""
    shifted, names = blobs(EVEN, 3)
    inside = [place for place, name in enumerate(names) if name == "class2"]
    shifted[inside, 9] += 1.5  # one look of it, which the originals and the base share
    looks = []
    for seed in (1, 2):
        vectors, own = blobs(EVEN, seed)
        half = [place for place, name in enumerate(own) if name == "class2"][::2]
        vectors[half, 9] += 1.5
        looks.append((vectors, own))
    made = binned(*looks, (shifted, names))
    found = cluster_figures(made, Resamples(120, 120, 0, 300))
    drift = found.drift
    assert drift["inside_classes"].value > drift["inside_classes"].null.p99
    assert drift["over_classes"].value <= drift["over_classes"].null.p99
    tests = share_tests(made.counts(BASE), made.counts(TUNED))
    moved = {made.bin_classes[place] for place, one in enumerate(tests) if one.moved}
    assert moved == {"class2"}
    untouched = share_tests(made.counts(ORIGINALS), made.counts(BASE))
    assert not any(one.moved for one in untouched)


def test_the_parts_add_up():
    """By the chain rule: over the classes, and inside of them, is the whole."""
    found = figures(blobs(EVEN, 1), blobs({"class0": 60, "class1": 60}, 2), blobs(EVEN, 3))
    for pair in COMPARED:
        for parts in found.pairs["/".join(pair)].values():
            whole, over, inside = (parts[part].value for part in PARTS)
            assert whole == pytest.approx(over + inside)
            assert min(over, inside) >= -1e-12


def test_the_bias_of_kl_falls_with_the_number_of_images():
    """Of equal distributions it is about (k - 1) / 2N a side, which is what the null shows."""
    generator = np.random.default_rng(0)
    bins, means = 10, []
    for images in (100, 200, 400, 800):
        counts = generator.multinomial(images, np.full(bins, 1 / bins), (2, 400))
        ones, others = (smoothed(one.T.astype(float)) for one in counts)
        means.append(kl(ones, others).mean())
        assert means[-1] == pytest.approx((bins - 1) / images, rel=0.15)
    assert all(larger > 1.7 * smaller for larger, smaller in pairwise(means))
    nulls = [
        figures(*(blobs({"class0": size}, seed) for seed in (1, 2, 3))).drift["whole"].null.mean
        for size in (16, 144)
    ]
    assert nulls[0] > nulls[1] > 0


def test_js_is_bounded_and_even():
    """Log 2 for what has nothing in common; the same both ways."""
    ones, others = np.array([[1 - 1e-12], [1e-12]]), np.array([[1e-12], [1 - 1e-12]])
    assert js(ones, others)[0] == pytest.approx(np.log(2))
    assert js(ones, ones)[0] == 0
    some = smoothed(np.array([[5.0], [1.0]]))
    assert js(ones, some)[0] == pytest.approx(js(some, ones)[0])


def test_clusters_are_the_same_each_time_and_as_few_as_they_should():
    """About the root of the smallest set, but one for each class; of equal vectors, one."""
    vectors, names = blobs(EVEN, 1)
    one, other = (ClassClusters(vectors, names, 100, 7) for _ in range(2))
    assert one.bin_classes == other.bin_classes
    assert 8 <= len(one.bin_classes) <= 12
    assert (one.bins_of(vectors, names) == other.bins_of(vectors, names)).all()
    few = ClassClusters(vectors, names, 4, 7)
    assert few.bin_classes == sorted(EVEN)
    same = ClassClusters(np.ones((20, 4)), ["a"] * 20, 400, 0)
    assert same.bin_classes == ["a"]


def test_intervals_of_the_gain_cover_the_truth():
    """Of 120 samples of what is known, about 95 in 100 have the true gain in their interval."""
    generator = np.random.default_rng(5)
    true = {
        "originals": np.array([0.25, 0.25, 0.25, 0.25]),
        "base": np.array([0.45, 0.35, 0.15, 0.05]),
        "tuned": np.array([0.3, 0.3, 0.2, 0.2]),
    }
    tall = {name: one[:, None] for name, one in true.items()}
    gain = js(tall["base"], tall["originals"])[0] - js(tall["tuned"], tall["originals"])[0]
    covered = 0
    for seed in range(120):
        sets = {n: np.eye(4)[generator.choice(4, 150, p=p)] for n, p in true.items()}
        made = Binned(sets["originals"], sets["base"], sets["tuned"], list("abcd"))
        interval = cluster_figures(made, Resamples(150, 150, seed, 200)).gain["whole"].interval
        covered += interval.low <= gain <= interval.high
    assert 0.88 * 120 <= covered <= 120
