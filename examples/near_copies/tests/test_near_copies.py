"""The example that finds near copies, run through its argument vector."""

import csv
import io
from pathlib import Path

import pyarrow as pa
from PIL import Image
from skimage import data

from fondant_spec.testing import run_component

COMPONENT = Path(__file__).parents[1]


def saved(image: Image.Image, kind: str, side: int) -> bytes:
    """Return an image as a file of a kind and size."""
    file = io.BytesIO()
    image.resize((side, side)).save(file, kind)
    return file.getvalue()


def test_near_copies_are_named(tmp_path, caplog):
    """A smaller copy in another format is found, across partitions, and named with its first."""
    photos = (data.astronaut(), data.coffee(), data.rocket())
    one, two, three = map(Image.fromarray, photos)
    images = [saved(one, "JPEG", 300), saved(two, "PNG", 200), saved(one, "WEBP", 120), b"", None]
    table = pa.table(
        {
            "image": [*images, saved(three, "JPEG", 100), saved(three, "PNG", 90)],
            "file_name": ["a.jpg", "b.png", "a, small.webp", "c", "d", "e.jpg", None],
        }
    )
    result = run_component(COMPONENT, table, tmp_path, rows_per_partition=2)
    assert "a, small.webp is near to a.jpg" in caplog.text
    (file,) = map(Path, result.manifest.artifacts)
    rows = list(csv.reader(io.StringIO(file.read_text(encoding="utf-8"))))
    assert rows[1:] == [["a, small.webp", "a.jpg"], ["000000000006", "e.jpg"]]


def test_pictures_without_contrast_are_left_aside(tmp_path):
    """A white page, and a black one with a dot: both have a hash that noise decides."""
    white, black = Image.new("RGB", (100, 100), "white"), Image.new("RGB", (100, 100), "black")
    black.putpixel((50, 50), (255, 255, 255))
    table = pa.table({"image": [saved(one, "PNG", 100) for one in (white, black, white)]})
    result = run_component(COMPONENT, table, tmp_path)
    assert Path(result.manifest.artifacts[0]).read_text() == "image,near_copy_of\n"


def test_nothing_to_compare(tmp_path):
    """Where no image can be decoded, there are no pairs."""
    result = run_component(COMPONENT, pa.table({"image": [b"x"]}), tmp_path)
    assert Path(result.manifest.artifacts[0]).read_text() == "image,near_copy_of\n"
