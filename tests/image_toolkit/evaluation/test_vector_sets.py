"""Diversity, precision, recall and memorisation where the answer is known."""

import numpy as np
import pytest

from image_toolkit.evaluation.manifold import precision_and_recall
from image_toolkit.evaluation.memorisation import memorisation
from image_toolkit.evaluation.share_tests import share_tests
from image_toolkit.evaluation.vendi import vendi_score
from tests.image_toolkit.evaluation.made_vectors import blobs


@pytest.mark.parametrize("count", [1, 3, 12])
def test_the_vendi_score_counts_what_differs(count):
    """Equal vectors are one, whatever their length; orthogonal ones as many as they are."""
    assert vendi_score(np.full((count, 20), 3.0)) == pytest.approx(1)
    assert vendi_score(np.eye(20)[:count] * 5) == pytest.approx(count)
    assert vendi_score(np.tile(np.eye(4), (25, 1))) == pytest.approx(4)


def test_precision_and_recall_of_equal_and_of_disjoint_sets():
    """All, and nothing."""
    ones, others = blobs({"class0": 40})[0], blobs({"class1": 40}, 1)[0]
    assert precision_and_recall(ones, ones) == (1, 1)
    assert precision_and_recall(ones, others) == (0, 0)


def test_a_model_with_one_look_is_precise_and_recalls_little():
    """And one that makes other things besides, the other way round."""
    real, _ = blobs({"class0": 30, "class1": 30, "class2": 30})
    narrow, _ = blobs({"class0": 90}, 1)
    found = precision_and_recall(real, narrow)
    assert found.precision > 0.8
    assert found.recall < 0.5
    wide, _ = blobs({"class0": 30, "class1": 30, "class2": 30, "class5": 30}, 2)
    found = precision_and_recall(real, wide)
    assert found.recall > 0.8
    assert found.precision < 0.8


def test_copies_of_training_images_are_told():
    """They are nearer than held-out images are; what was made anew is not, but for 1 or 5 %."""
    training, held_out, fresh = (blobs({"class0": 300}, seed)[0] for seed in (0, 1, 2))
    generator = np.random.default_rng(0)
    copies = training[:100] + 1e-3 * generator.standard_normal((100, 16))
    found = memorisation(copies, training, held_out)
    assert found.nearer == {1: 1, 5: 1}
    assert (found.nearest == np.arange(100)).all()
    usual = memorisation(fresh, training, held_out)
    assert usual.nearer[1] <= 0.04
    assert 0.01 <= usual.nearer[5] <= 0.1
    assert memorisation(fresh, training, fresh[:0]).baseline == {}


def test_shares_are_tested_over_all_bins():
    """A share that moved is flagged; of 40 even bins with the chances of a draw, hardly one is."""
    generator = np.random.default_rng(0)
    flagged = 0
    for _ in range(20):
        ones, others = generator.multinomial(200, np.full(40, 1 / 40), 2).astype(float)
        flagged += any(one.moved for one in share_tests(ones, others))
    assert flagged <= 2
    moved = share_tests(np.array([50.0, 30, 20]), np.array([50.0, 5, 45]))
    assert [one.moved for one in moved] == [False, True, True]
    assert moved[1].counts == (30, 5)
    assert moved[1].difference == pytest.approx(-0.25)
    assert share_tests(np.zeros(2), np.zeros(2))[0].p == 1
