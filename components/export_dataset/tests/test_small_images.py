"""Images of few pixels, or thin ones: they are exported, and told from others."""

import io
import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from fondant_spec.testing import run_component
from fondant_spec.worker.component_code import load_module

COMPONENT = Path(__file__).parents[1]
CORNERS = np.array([*itertools.product((0, 255), repeat=3)], np.uint8)


def encoded(pixels: np.ndarray) -> bytes:
    """Return a PNG with transparency, which becomes a JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert("RGBA").save(buffer, "PNG")
    return buffer.getvalue()


def noise(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Return pixels of the strongest colours, each by lot."""
    return CORNERS[np.random.default_rng(seed).integers(0, 8, (height, width))]


def stripes(width: int, height: int, one: int, other: int) -> np.ndarray:
    """Return columns of two colours in turn, one pixel wide."""
    return np.broadcast_to(CORNERS[[one, other] * width][:width], (height, width, 3)).copy()


def made(image: bytes):
    """Return the pair of an image, and what its file looks like when it is read back."""
    make = load_module(COMPONENT, "training_pairs").PairMaker()
    pair = make.pair({"id": "0", "image": image, "caption": "a cat"})
    look = load_module(COMPONENT, "picture_looks").look_of(Image.open(io.BytesIO(pair.image)))
    return pair, look


SIZES = [(1, 1), (2, 2), (3, 5), (16, 16), (31, 47), (64, 64), (127, 127), (130, 130)]
THIN = [(4000, 10), (10, 4000), (4000, 1), (4000, 100)]


@pytest.mark.parametrize(("width", "height"), [*SIZES, *THIN])
def test_an_image_reads_back_as_itself(width, height):
    """Whatever its size, and however loud its colours are."""
    images = [noise(width, height, seed) for seed in range(3)]
    images += [stripes(width, height, one, other) for one, other in ((1, 6), (2, 5), (0, 4))]
    for image in images:
        pair, look = made(encoded(image))
        assert not look.differs(pair.look)


@pytest.mark.parametrize(("width", "height"), [(2, 2), (3, 5), (16, 16), (4000, 10)])
def test_another_image_of_the_same_size_is_told_apart(width, height):
    """One in the place of another is what the reading is there to find, and one that is turned."""
    first, second = noise(width, height, 1), noise(width, height, 2)
    first[: height // 2 + 1, : width // 2 + 1] //= 3
    second[height // 2 :] //= 3
    pair, _ = made(encoded(first))
    for other in (255 - first, first[::-1, ::-1].copy(), second):
        assert made(encoded(other))[1].differs(pair.look)


def test_images_of_ordinary_size_keep_their_bytes():
    """Only small ones are encoded otherwise than before."""
    pixels = noise(128, 300)
    usual = io.BytesIO()
    Image.fromarray(pixels).save(usual, "JPEG", quality=95)
    assert made(encoded(pixels))[0].image == usual.getvalue()


def test_small_images_do_not_end_an_export(tmp_path):
    """Three icons, one dot and a line are exported, and no row is lost."""
    sizes = [(16, 16)] * 3 + [(1, 1), (4000, 10)]
    images = [encoded(noise(*size, seed)) for seed, size in enumerate(sizes)]
    table = pa.table({"image": images, "caption": [f"number {n}" for n in range(5)]})
    layouts = ["imagefolder", "kohya", "webdataset"]
    result = run_component(
        COMPONENT, table, tmp_path, output_path=str(tmp_path / "out"), layouts=layouts
    )
    assert not len(result.rejects)
    assert len([*(tmp_path / "out" / "kohya").rglob("*.jpg")]) == 5
