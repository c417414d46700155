"""`index check --model`: an index's entries find themselves with its own model, and no other."""

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw

from demo.tiny_models import CLIP_FOLDER
from fondant_spec.cli import main
from tests.image_toolkit.retrieval.clip_models import another_clip

IMAGES = 24


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images with something else in each of them."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for number in range(IMAGES):
        colours = [tuple(random.integers(0, 255, 3).tolist()) for _ in range(6)]
        image = Image.new("RGB", (80, 80), colours[0])
        draw = ImageDraw.Draw(image)
        for colour in colours[1:]:
            corner = random.integers(0, 50, 2)
            size = random.integers(10, 40, 2)
            draw.ellipse([*corner.tolist(), *(corner + size).tolist()], fill=colour)
        image.save(folder / f"{number:02d}.png")
    return folder


@pytest.fixture(scope="module")
def index(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of them, by the demo's CLIP."""
    folder = tmp_path_factory.mktemp("index") / "index"
    assert main(["index", "build", str(photos), str(folder), "--model-id", str(CLIP_FOLDER)]) == 0
    return folder


def test_its_own_model_wherever_it_lies(
    index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A copy of the model finds all images at rank 1, at a cosine of 1."""
    copy = shutil.copytree(CLIP_FOLDER, tmp_path / "renamed")

    assert main(["index", "check", str(index), "--model", str(copy)]) == 0

    told = capsys.readouterr().out
    assert f"measured      {IMAGES} of {IMAGES} images found at rank 1 (100%" in told
    assert "median cosine 1.000" in told
    assert f"verdict       {copy} is the model of this index\n" in told


def test_another_model_in_a_folder_of_the_same_name(
    index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is refused, with what was measured."""
    other = another_clip(tmp_path / CLIP_FOLDER.name)

    assert main(["index", "check", str(index), "--model", str(other)]) == 1

    told = capsys.readouterr().err
    assert f"{index}: {other} is not the model of this index" in told
    assert f" of {IMAGES} images found at rank 1 (" in told


def without_images(index: Path, folder: Path, **columns: list[str]) -> Path:
    """Copy an index with other metadata, that leads to no image on this machine."""
    shutil.copytree(index, folder)
    (file,) = (folder / "metadata").iterdir()
    pq.write_table(pa.table(columns), file)
    return folder


@pytest.fixture
def host(photos: Path) -> Iterator[str]:
    """The images served on this machine."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=photos)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_images_are_fetched_where_they_are_alive(
    index: Path, host: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of an index of URLs, those that answer are enough; private hosts only where that is asked."""
    urls = [f"{host}/{'gone' if n < 8 else f'{n:02d}.png'}" for n in range(IMAGES)]
    of_urls = without_images(index, tmp_path / "index", url=urls)
    words = ["index", "check", str(of_urls), "--model", str(CLIP_FOLDER)]

    assert main([*words, "--allow-private-hosts"]) == 0
    assert f"{IMAGES - 8} of {IMAGES - 8} images found at rank 1" in capsys.readouterr().out

    assert main(words) == 1
    assert f"of {IMAGES} rows, 0 have an image that can still be had and 0 a caption" in (
        capsys.readouterr().err
    )
