import json
from pathlib import Path
from urllib.parse import urlsplit

import datasets
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageOps

from demo.collection import KINDS, MARKER, make_collection
from fondant_spec.errors import InvalidConfigError


def files(root: Path) -> dict[str, bytes]:
    """Return the content of every file below `root`."""
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def web_file(root: Path, url: str) -> Path:
    """Return the file that the host serves at `url`."""
    return root / "web" / urlsplit(url).path.removeprefix("/")


def test_a_collection_is_the_same_byte_by_byte(tmp_path):
    """Two folders made with the same arguments hold the same files."""
    first = make_collection(tmp_path / "first", pages=40)
    second = make_collection(tmp_path / "second", pages=40)
    assert files(first) == files(second)


def test_a_finished_collection_is_not_made_again(tmp_path):
    """A second call leaves a finished collection as it is; other arguments replace it."""
    root = make_collection(tmp_path, pages=20)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}
    make_collection(tmp_path, pages=20)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    make_collection(tmp_path, pages=10)
    assert len(pq.read_table(root / "pages.parquet")) == 10
    assert len([path for path in root.glob("web/**/*.*") if path.is_file()]) <= 11


def test_an_unfinished_collection_is_made_anew(tmp_path):
    """A folder without its marker is not trusted: what a killed run left is replaced."""
    root = make_collection(tmp_path, pages=20)
    whole = files(root)
    (root / MARKER).unlink()
    stray = root / "web" / "left-over.jpg"
    stray.write_bytes(b"half")
    assert files(make_collection(tmp_path, pages=20)) == whole


def test_a_folder_of_someone_else_is_left_alone(tmp_path):
    """Files that the demo did not make are never replaced."""
    mine = tmp_path / "web" / "index.html"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(InvalidConfigError) as caught:
        make_collection(tmp_path, pages=3)
    assert str(caught.value) == (
        f"{tmp_path} holds files that the demo did not make: name an empty folder instead"
    )
    assert files(tmp_path) == {"web/index.html": b"mine"}


def test_the_truth_knows_every_page_and_every_fault(collection):
    """The truth table has one row a URL, in the pages' order, and all kinds of faults occur."""
    pages, truth = (pq.read_table(collection / f"{name}.parquet") for name in ("pages", "truth"))
    assert pages["url"] == truth["url"]
    assert len(set(truth["url"].to_pylist())) == len(truth) == 400
    assert set(truth["kind"].to_pylist()) == set(KINDS)
    assert len(set(truth["subject"].to_pylist())) == 16


def test_intact_pages_hold_the_picture_that_the_crawler_saw(collection):
    """Width and height, as shown, are those in the pages' table."""
    pages = pq.read_table(collection / "pages.parquet").to_pylist()
    kinds = pq.read_table(collection / "truth.parquet")["kind"].to_pylist()
    for page, kind in zip(pages, kinds, strict=True):
        if kind in ("image", "exact_duplicate", "near_duplicate", "opted_out"):
            with Image.open(web_file(collection, page["url"])) as image:
                shown = ImageOps.exif_transpose(image)
                assert shown.size == (page["width"], page["height"])
                shown.load()


def test_formats_and_turned_pictures_occur(collection):
    """JPEG, PNG and WebP, colour and grey, and an EXIF orientation are all there."""
    seen = set()
    for path in collection.glob("web/**/*.*"):
        if not (collection / "crawled" / path.relative_to(collection / "web")).is_file():
            with Image.open(path) as image:
                seen |= {image.format, image.mode, image.getexif().get(0x0112)}
    assert seen >= {"JPEG", "PNG", "WEBP", "RGB", "L", 6}


def test_alt_texts_are_those_of_the_web(collection):
    """Some alt texts are missing or empty, some are markup, and few repeat the caption."""
    captions = pq.read_table(collection / "pages.parquet")["caption"].to_pylist()
    assert 0.05 < captions.count(None) / len(captions) < 0.2
    assert "" in captions
    assert any(caption and caption.startswith("<b>") for caption in captions)
    assert len(set(captions)) > 100


def test_duplicates_show_an_image_that_is_there_already(collection):
    """An exact duplicate has another page's bytes; a near duplicate has bytes of its own."""
    truth = pq.read_table(collection / "truth.parquet").to_pylist()
    of_kind = {kind: [row["url"] for row in truth if row["kind"] == kind] for kind in KINDS}
    originals = {web_file(collection, url).read_bytes() for url in of_kind["image"]}
    assert min(len(of_kind["exact_duplicate"]), len(of_kind["near_duplicate"])) > 5
    for url in of_kind["exact_duplicate"]:
        assert web_file(collection, url).read_bytes() in originals
    for url in of_kind["near_duplicate"]:
        assert web_file(collection, url).read_bytes() not in originals


def test_the_urls_name_the_port_of_the_host(tmp_path):
    """The port is part of what a collection is, since its URLs name it."""
    root = make_collection(tmp_path, pages=3, port=9999)
    urls = pq.read_table(root / "pages.parquet")["url"].to_pylist()
    assert all(url.startswith("http://127.0.0.1:9999/") for url in urls)
    assert json.loads((root / MARKER).read_text())["config"]["port"] == 9999


@pytest.mark.parametrize("streaming", [False, True])
def test_the_seeds_are_a_dataset_repository(seeds, streaming, tmp_path):
    """`datasets` reads the seeds as pictures with their subject, at once or as a stream."""
    loaded = datasets.load_dataset(
        str(seeds), split="train", streaming=streaming, cache_dir=str(tmp_path)
    )
    rows = list(loaded)
    assert len(rows) == 32
    assert {row["subject"] for row in rows} == set(
        pq.read_table(seeds.parent / "truth.parquet")["subject"].to_pylist()
    )
    assert all(
        isinstance(row["image"], Image.Image) and max(row["image"].size) == 480 for row in rows
    )
