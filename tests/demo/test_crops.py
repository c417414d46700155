import numpy as np
import pytest

from demo import crops
from demo.crops import Crop, draw, render
from demo.photos import SUBJECTS, load

BOX = (0.0, 0.0, 100.0, 100.0)


def crop(subject="motorcycle", view="medium", style="plain", *, mirrored=False):
    """Return a crop with nothing but what a caption depends on."""
    return Crop(subject, BOX, view, mirrored, style, 1.0, 1.0, 0.0)


@pytest.mark.parametrize(
    ("shown", "caption"),
    [
        (crop(), "a photo of a red motorcycle heading right in a garage"),
        (crop(mirrored=True), "a photo of a red motorcycle heading left in a garage"),
        (crop(view="close"), "a close-up of the shining metal of a red motorcycle"),
        (crop(style="grey"), "a black and white photo of a motorcycle heading right in a garage"),
        (crop(style="dark"), "a dark photo of a red motorcycle heading right in a garage"),
        (crop("flower", "wide"), "a wide view of an orange flower in a dark green garden"),
        (crop("flower", "wide", "grey"), "a black and white photo of a flower in a dark garden"),
        (
            crop("officer", "wide"),
            "a wide view of a naval officer in uniform with a flag on the left",
        ),
    ],
)
def test_a_caption_says_what_is_visible(shown, caption):
    """The caption follows distance, mirroring and style, and names no colour in a grey picture."""
    assert shown.caption == caption


def test_the_same_seed_draws_the_same_picture():
    """Crops and their noise come from the given generator alone."""
    pictures = []
    for _ in range(2):
        rng = np.random.default_rng(3)
        pictures.append(render(draw(rng, "cat", "train"), 90, rng))
    assert pictures[0].tobytes() == pictures[1].tobytes()


def test_a_picture_has_the_long_side_that_was_asked_for():
    """The longer side is exact and the shape is the window's."""
    rng = np.random.default_rng(5)
    shown = draw(rng, "temple", "seeds")
    width, height = render(shown, 240, rng).size
    left, top, right, bottom = shown.box
    assert max(width, height) == 240
    assert width / height == pytest.approx((right - left) / (bottom - top), rel=0.02)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_windows_lie_inside_the_photograph(subject):
    """A window never reaches over the edge, where there would be nothing to show."""
    rng = np.random.default_rng(6)
    width, height = load(subject).size
    for _ in range(50):
        left, top, right, bottom = draw(rng, subject, "collection").box
        assert -1e-6 <= left < right <= width + 1e-6
        assert -1e-6 <= top < bottom <= height + 1e-6


def test_no_window_belongs_to_two_splits():
    """Windows drawn for training, the collection and the seeds share none of the cells."""
    rng = np.random.default_rng(7)
    owners = {}
    for _ in range(4000):
        window = crops._window(rng)
        cell = tuple(int(value * 1e6) for value in window)
        owners[cell] = crops._split_of("cat", *window)
    shares = {
        split: list(owners.values()).count(split) / len(owners) for split in set(crops.SPLITS)
    }
    assert shares == pytest.approx({"train": 0.6, "collection": 0.3, "seeds": 0.1}, abs=0.05)
    drawn = {split: [draw(rng, "cat", split).box for _ in range(200)] for split in shares}
    assert not set(drawn["train"]) & (set(drawn["collection"]) | set(drawn["seeds"]))
