"""A folder of odd files, loaded and exported to every layout: each file is accounted for."""

import io
import json
import re
import resource
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from fondant_spec.errors import StorageError
from fondant_spec.testing import Result, run_component
from fondant_spec.worker.component_code import load_module

COMPONENT = Path(__file__).parents[1]
LOAD = COMPONENT.parent / "load_from_hub"
LAYOUTS = load_module(COMPONENT, "layouts").LAYOUTS
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I", "F")
MODES = (*MODES, "I;16")
NOT_ONE_FILE = ("PDF", "SPIDER", "HDF5", "GRIB", "BUFR", "WMF")
"""Formats that hold documents, or that Pillow has no encoder of its own for."""

NAMES = {
    "two words.jpg": 'a "quoted" cat, it\'s',
    "v1.2.final.jpg": "two\nlines\r\nor three",
    "猫 صورة.jpg": "café 猫 \U0001f431 \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "Cat.jpg": "one, two,, three, ",
    "cat.jpg": "قطة على السرير",
    "-dash.jpg": "- a: {list|of} #1, 100%",
    "con.jpg": "x" * 2000,
    "empty.jpg": "",
    "blank.jpg": " \u200b\n",
    "no_caption.jpg": None,
    "a" * 200 + ".jpg": "yes",
    "$HOME `id`.jpg": "$HOME `id` \\n",
    "1_5_face_1_2_3_4.jpg": "<b>&amp;</b>",
    "photo-masklabel.jpg": "no mask: there is no such photo",
}
"""Files with the text beside each."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder of images: all formats and colour modes, odd names, odd captions, no images."""
    path = tmp_path_factory.mktemp("odd")
    for number, (name, caption) in enumerate(NAMES.items()):
        Image.fromarray(_pixels(number)).save(path / name)
        if caption is not None:
            (path / name).with_suffix(".txt").write_bytes(caption.encode())
    Image.init()
    for number, kind in enumerate(sorted(set(Image.SAVE) - {*NOT_ONE_FILE})):
        for mode in MODES:
            _write_image(path / f"{kind} {mode}.{kind.lower()}", kind, mode, number)
    cut = (path / "cat.jpg").read_bytes()[:-30]
    (path / "cut.jpg").write_bytes(cut)
    (path / "nothing.png").write_bytes(b"")
    (path / "text.webp").write_bytes(b"<html>")
    (path / "a.gif").symlink_to("/etc/hostname")
    return path


def _pixels(number: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    small = Image.fromarray(rng.integers(0, 255, (3, 4, 3), dtype=np.uint8))
    return np.asarray(small.resize((24, 16)))


def _write_image(file: Path, kind: str, mode: str, number: int) -> None:
    """Write an image, with a caption beside it, if there are such images."""
    grey = Image.fromarray(_pixels(number)).convert("L")
    content = io.BytesIO()
    try:
        source = grey if mode in ("I", "F", "I;16", "1") else Image.fromarray(_pixels(number))
        (source if mode == "RGB" else source.convert(mode)).save(content, kind)
    except (OSError, ValueError, KeyError, SystemError, TypeError):
        return  # Pillow makes none
    file.write_bytes(content.getvalue())
    file.with_suffix(".txt").write_text(f"{kind} of {mode}", encoding="utf-8")


@pytest.fixture(scope="module")
def loaded(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Load the folder, with the texts beside its images."""
    return run_component(
        LOAD,
        None,
        tmp_path_factory.mktemp("loaded"),
        options={"produces": '{"text": "string"}', "max_reject_share": "1"},
        dataset_name=str(folder),
    )


def told(name: str, out: Path) -> dict[str, list[str]]:
    """Return what a layout has of each image: captions by stem, found without its own reader."""
    if name == "imagefolder":
        return {
            Path(r["file_name"]).stem: [r["text"]] for r in _lines(out / "train/metadata.jsonl")
        }
    if name == "musubi-tuner":
        lines = _lines(out / "train.jsonl")
        return {Path(line["image_path"]).stem: [line["caption"]] for line in lines}
    if name in ("simpletuner", "parquet"):
        rows = pq.read_table(*out.glob("train*.parquet")).to_pylist()
        found = [
            (r.get("filename") or r["image"]["path"], r.get("caption") or r["text"]) for r in rows
        ]
        return {Path(file).stem: [caption] for file, caption in found}
    if name == "webdataset":
        with tarfile.open(*out.glob("train*.tar")) as archive:
            texts = [member for member in archive if member.name.endswith(".txt")]
            return {m.name[:-4]: [archive.extractfile(m).read().decode()] for m in texts}
    folder = out / "train/1_images" if name == "kohya" else out / "train"
    if name == "everydream2":
        texts = {file: yaml.safe_load(file.read_text("utf-8")) for file in folder.glob("*.yaml")}
        return {file.stem: [told["main_prompt"]] for file, told in texts.items()}
    return {file.stem: [file.read_text("utf-8")] for file in folder.glob("*.txt")}


def _lines(file: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_every_file_is_loaded_or_rejected_or_named(folder, loaded):
    """Images of all formats and modes that are read, the others by name and reason."""
    images = {path.name for path in folder.iterdir() if path.suffix != ".txt"}
    rows = {*loaded.table["file_name"].to_pylist()}
    rejected = {message.split(": ")[0] for message in loaded.rejects["message"].to_pylist()}
    left_out = images - rows - {name for name in images if any(name in m for m in rejected)}
    assert len(images) > 90
    assert len(rows) > 60
    assert len(rows) + len(loaded.rejects) + len(left_out) == len(images)
    kinds = {name.rsplit(".", 1)[1] for name in left_out}
    assert not kinds & {"jpg", "jpeg", "png", "webp", "gif", "bmp", "tiff"}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_loaded_file_is_exported_or_rejected(loaded, tmp_path, name):
    """With its own caption, whatever is in it, under a name of its own; blank ones are rejects."""
    table = loaded.table.drop_columns(["id"]) if "id" in loaded.table.column_names else loaded.table
    fields = {"caption": "text", "file_name": "file_name"}
    result = run_component(
        COMPONENT,
        table,
        tmp_path,
        options={"max_reject_share": "1", "consumes": json.dumps(fields)},
        output_path=str(tmp_path / "out"),
        layout=name,
        name_files_by="file_name",
    )
    found = told(name, tmp_path / "out")
    assert len(found) + len(result.rejects) == len(table)
    assert {*result.rejects["reason"].to_pylist()} == {"no_caption"}
    captions = [
        text for text in table["text"].to_pylist() if text and re.search(r"[^\s\u200b]", text)
    ]
    assert sorted(one_line(caption) for (caption,) in found.values()) == sorted(
        map(one_line, captions)
    )
    assert len({stem.casefold() for stem in found}) == len(found)
    assert all(re.fullmatch(r"[\w-]{1,140}", stem) for stem in found)


def one_line(text: str) -> str:
    """Return a text with single spaces: what trainers make of one is in the tests of layouts."""
    return " ".join(text.split())


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Have writing more than some bytes into a file fail, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_half_way_leaves_nothing_half(tmp_path):
    """Neither of a first export nor of one that replaces another, which stays as it was."""
    images = []
    for number in range(24):
        buffer = io.BytesIO()
        Image.fromarray(_pixels(number)).save(buffer, "JPEG")
        images.append(buffer.getvalue())
    table = pa.table({"image": images, "caption": ["x"] * 24})
    out, most = tmp_path / "out", 2 * sum(map(len, images))  # an archive pads its members

    def export(table: pa.Table) -> None:
        layouts = ["imagefolder", "webdataset"]
        run_component(COMPONENT, table, tmp_path, output_path=str(out), layouts=layouts)

    def state() -> dict[str, bytes]:
        files = (path for path in out.rglob("*") if path.is_file())
        return {str(path.relative_to(out)): path.read_bytes() for path in files}

    with (
        files_of_at_most(most),
        pytest.raises(StorageError, match=r"cannot be written"),
    ):
        export(table)
    assert state() == {}
    export(table.slice(0, 2))
    before = state()
    with (
        files_of_at_most(most),
        pytest.raises(StorageError, match=r"cannot be written"),
    ):
        export(table)
    assert state() == before
