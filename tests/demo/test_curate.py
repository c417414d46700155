"""The images of the curation demo, whose names are the ground truth."""

import numpy as np
from PIL import Image

from demo import curate
from image_toolkit.images.decoding import decode_pixels
from image_toolkit.images.rendering import phash


def test_images_and_their_copies(tmp_path, monkeypatch):
    """Each quarter has a copy of each kind, every other one text; scaled copies look the same."""
    monkeypatch.setattr(curate, "SUBJECTS", ("coffee",))
    curate.write_images(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    kinds = ["0", *curate.COPIES]
    expected = [f"{number:03d}-{kind}.jpg" for number in range(4) for kind in kinds]
    assert names == sorted([*expected, "001-text.jpg", "003-text.jpg"])

    def look(name: str) -> int:
        return int(phash(decode_pixels((tmp_path / name).read_bytes())), 16)

    assert (look("000-0.jpg") ^ look("000-scaled.jpg")).bit_count() <= 6
    assert (look("000-0.jpg") ^ look("001-0.jpg")).bit_count() > 6
    sizes = [Image.open(tmp_path / f"000-{kind}.jpg").size for kind in ("0", "scaled", "cropped")]
    assert np.all(np.diff(sizes, axis=0)[0] < 0)


def test_names_tell_the_truth():
    """The number of an image, and what was made of it."""
    assert curate._name("images/012-framed.jpg") == ("012", "framed")
