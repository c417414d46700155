"""`export_dataset`, run through its argument vector, its result read by the trainers' readers."""

import io
import json
import math
import re
import struct
import tarfile
import tomllib
import zlib
from pathlib import Path

import datasets
import fsspec
import numpy as np
import pyarrow as pa
import pytest
import yaml
from PIL import Image, ImageCms

from fondant_spec.errors import (
    FondantError,
    InputDataError,
    InvalidArgumentError,
    StorageError,
)
from fondant_spec.testing import Result, run_component
from fondant_spec.worker.component_code import load_module
from image_toolkit.images.decoding import decode_pixels
from image_toolkit.images.rendering import phash
from image_toolkit.publishing.hashed_folder import HashedFolder
from tests.made_images import photo

COMPONENT = Path(__file__).parents[1]
CAPTIONS = ["a cat", 'a "quoted" dog', "two\nlines", "  café 猫 \U0001f431 ", "the last\\one"]


def pairs(count: int = 5) -> pa.Table:
    """Return a table of images and captions, with what retrieval left beside them."""
    return pa.table(
        {
            "image": [photo(i) for i in range(count)],
            "caption": [CAPTIONS[i % 5] for i in range(count)],
            "seed_id": [f"{i:03d}" for i in range(count)],
            "similarity": pa.array([0.5] * count, pa.float32()),
        },
    )


def export(table: pa.Table, tmp_path: Path, **arguments: object) -> tuple[Path, Result]:
    """Run the component, and return where it wrote."""
    options = {"max_reject_share": "1", "cache": "false"}
    target = arguments.setdefault("output_path", str(tmp_path / "out"))
    result = run_component(
        COMPONENT,
        table,
        tmp_path,
        options=options | arguments.pop("options", {}),
        metadata={"caption": {"model_id": "blip", "revision": None}},
        **arguments,
    )
    return Path(str(target)), result


def pixels(data: bytes) -> np.ndarray:
    """Return the pixels of an encoded image."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.parametrize("keep_labels", [None, False])
def test_an_imagefolder_is_what_datasets_and_diffusers_read(tmp_path, keep_labels):
    """The very bytes come back, with their captions and metadata, by all ways that users load."""
    out, result = export(pairs(), tmp_path)
    by_folder = datasets.load_dataset(
        "imagefolder", data_dir=str(out), split="train", drop_labels=keep_labels
    )
    files = {"train": str(out / "train" / "**")}
    by_files = datasets.load_dataset("imagefolder", data_files=files, split="train")
    by_card = datasets.load_dataset(str(out), split="train")
    for dataset in (by_folder, by_files, by_card):
        assert dataset["text"][:] == CAPTIONS
        assert dataset["seed_id"][:] == ["000", "001", "002", "003", "004"]
        raw = dataset.cast_column("image", datasets.Image(decode=False))
        assert [Path(row["path"]).read_bytes() for row in raw["image"]] == [
            photo(i) for i in range(5)
        ]
    assert sorted(p.name for p in out.iterdir()) == [
        "README.md",
        "croissant.json",
        "export.json",
        "train",
    ]
    assert result.manifest.artifacts == (str(out / "export.json"), str(out / "README.md"))


def test_without_a_path_the_step_has_a_folder_of_its_own(tmp_path):
    """By default the export lies with the step, and the manifest says where."""
    _, result = export(pairs(), tmp_path, output_path=None)
    card = Path(result.manifest.artifacts[1])
    assert card.parent.is_relative_to(result.manifest.folder)
    assert len(list((card.parent / "train").glob("*.jpg"))) == 5


def split_hashes(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the perceptual hashes of the files of both splits."""
    files = [sorted((folder / split).glob("*.jpg")) for split in ("train", "validation")]
    hashes = [[int(phash(decode_pixels(f.read_bytes())), 16) for f in split] for split in files]
    return np.array(hashes[0], np.uint64), np.array(hashes[1], np.uint64)


@pytest.mark.parametrize("grouped", [True, False])
def test_near_copies_are_on_one_side_of_the_split(tmp_path, grouped):
    """A search on the exported files finds none on both, where groups are known; else it does."""
    photos = [Image.open(io.BytesIO(photo(number))) for number in range(30)]
    copies = []
    for image in photos:
        copies.append(io.BytesIO())
        image.resize((60, 45)).save(copies[-1], "JPEG", quality=80)
    images = [photo(number) for number in range(30)] + [copy.getvalue() for copy in copies]
    columns = {
        "image": images,
        "caption": ["a photo"] * len(images),
        "phash": [phash(decode_pixels(image)) for image in images],
    }
    if grouped:
        found = run_component(
            COMPONENT.parent / "deduplicate_images",
            pa.table(columns),
            tmp_path / "groups",
            keep="first",
            drop_copies=False,
        )
        columns["group_id"] = found.table["group_id"]
    out, _ = export(pa.table(columns), tmp_path, validation_fraction=0.4)
    train, validation = split_hashes(out)
    across = np.bitwise_count(train[:, None] ^ validation) <= 6
    assert len(train) + len(validation) == 60
    assert across.any() != grouped


def test_groups_on_both_sides_are_told(tmp_path, caplog):
    """Somebody has chosen for one row of a group, or an image has a group in one row alone."""
    columns = {
        "image": [photo(0), photo(1), photo(2), photo(3), photo(3)],
        "caption": ["a photo"] * 5,
        "group_id": ["1", "1", "", "2", None],
        "split": ["validation", None, None, "validation", "train"],
    }
    export(pa.table(columns), tmp_path)
    assert "with some to train on and some held out: 2." in caplog.text


def test_the_validation_split_is_stable_and_keeps_copies_together(tmp_path):
    """The split goes by content: the same in any order, and never with a copy on both sides."""
    table = pairs(40)
    out, _ = export(table, tmp_path, validation_fraction=0.25)
    dataset = datasets.load_dataset("imagefolder", data_dir=str(out))
    held_out = set(dataset["validation"]["seed_id"])
    assert len(dataset["train"]) + len(held_out) == 40
    assert 3 <= len(held_out) <= 18

    doubled = pa.concat_tables([table, table]).take(list(range(79, -1, -1)))
    again, _ = export(doubled, tmp_path, output_path=str(tmp_path / "b"), validation_fraction=0.25)
    dataset = datasets.load_dataset("imagefolder", data_dir=str(again))
    assert set(dataset["validation"]["seed_id"]) == held_out
    assert len(dataset["validation"]) == 2 * len(held_out)


def test_a_share_that_holds_nothing_out_is_told(tmp_path, caplog):
    """In the log and on the card, with what to do; where none was asked for, it is no news."""
    out, _ = export(pairs(), tmp_path, validation_fraction=0.001)
    told = "None of 5 rows is held out, though validation_fraction is 0.001: "
    assert told in caplog.text
    assert f"- There is no validation split. {told}" in (out / "README.md").read_text()
    caplog.clear()
    out, _ = export(pairs(), tmp_path, output_path=str(tmp_path / "all"))
    assert "held out" not in caplog.text
    assert "- There is no validation split.\n" in (out / "README.md").read_text()


def test_the_card_tells_counts_and_lineage(tmp_path):
    """The README holds the hub's configuration, the counts, the rejects and the makers."""
    table = pairs().set_column(1, "caption", pa.array(["a", None, " ", "b", "c"]))
    out, result = export(table, tmp_path, validation_fraction=0.3)
    front, text = (out / "README.md").read_text().split("---\n")[1:]
    counts = json.loads((out / "export.json").read_text())["pairs"]
    expected = [{"split": name, "path": f"{name}/**"} for name in counts]
    (config,) = yaml.safe_load(front)["configs"]
    assert config == {"config_name": config["config_name"], "data_files": expected}
    assert sum(counts.values()) == 3
    assert f"| train | {counts['train']} |" in text
    by_split = ", ".join(f"{split} {count}" for split, count in counts.items())
    assert (
        f"Rows that came to the export: 5. Of these {by_split} were written, and no_caption 2 "
        in text
    )
    assert "Rows that earlier steps rejected are not among them: `fondant-spec show`" in text
    assert '- `caption`: model_id `"blip"`' in text
    assert result.rejects["reason"].to_pylist() == ["no_caption", "no_caption"]


def test_a_split_that_somebody_chose(tmp_path):
    """It holds whatever would be drawn; rows of another split end up in none that is trained on."""
    chosen = ["validation", "train", None, "test", "validation"]
    table = pairs().append_column("split", pa.array(chosen, pa.string()))
    out, result = export(table, tmp_path)
    lines = {
        split: (out / split / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
        for split in ("train", "validation")
    }
    texts = {split: [json.loads(line)["text"] for line in lines[split]] for split in lines}
    assert texts == {"train": CAPTIONS[1:3], "validation": [CAPTIONS[0], CAPTIONS[4]]}
    (reject,) = result.rejects.to_pylist()
    assert (reject["id"][-1], reject["reason"]) == ("3", "unknown_split")


def test_nothing_in_the_card_ends_its_code(tmp_path):
    """What a maker says of a field stays code, whatever backticks, lines and escapes it has."""
    card = load_module(COMPONENT, "dataset_card")
    lineage = {"caption": {"model_id": "a`b``c\n# Owned\x1b[2J"}}
    card = card.DatasetCard(card.Counts({"train": 1}, {}), lineage)
    text = card.of_layouts(HashedFolder(tmp_path), {}, "")
    assert '- `caption`: model_id ``` "a`b``c\\n# Owned\\u001b[2J" ```\n' in text


def test_nothing_is_claimed_of_rows_that_never_came(tmp_path):
    """Where earlier steps lost rows, or all of them, the export says where that is told."""
    out, _ = export(pairs(), tmp_path)
    text = (out / "README.md").read_text()
    assert "No row was left out" not in text
    assert "the export: 5. Of these train 5 were written, and none rejected. Rows that earl" in text
    with pytest.raises(InputDataError) as error:
        export(pairs(1).slice(1), tmp_path, output_path=str(tmp_path / "b"))
    assert str(error.value) == (
        "export_dataset: no pairs to train on. Rows that came to the export: 0. Of these none were "
        "written, and none rejected. Rows that earlier steps rejected are not among them: "
        "`fondant-spec show` of a step's result counts them by reason."
    )


def test_no_bar_tells_of_downloads(tmp_path, capfd):
    """Reading back is offline, so nothing is said to be downloaded."""
    datasets.enable_progress_bars()
    export(pairs(20), tmp_path, layouts=["imagefolder", "webdataset", "parquet"])
    told = capfd.readouterr().err
    assert not re.search(r"Downloading|Resolving|Generating|\d+%", told)


def test_kohya_reads_the_first_line_of_a_text_beside_each_image(tmp_path):
    """`dataset.toml` leads to images with captions of one line and the same stem."""
    out, _ = export(pairs(), tmp_path, layout="kohya", resolution=768)
    config = tomllib.loads((out / "dataset.toml").read_text())
    assert config["datasets"][0]["resolution"] == 768
    images = sorted((out / config["datasets"][0]["subsets"][0]["image_dir"]).glob("*.jpg"))
    texts = [p.with_suffix(config["general"]["caption_extension"]).read_text() for p in images]
    assert texts == [" ".join(caption.split()) for caption in CAPTIONS]
    assert [p.read_bytes() for p in images] == [photo(i) for i in range(5)]


def test_webdataset_archives_hold_a_fixed_number_of_pairs(tmp_path):
    """Archives are numbered without gaps, and `datasets` streams image, text and metadata."""
    out, _ = export(pairs(), tmp_path, layout="webdataset", pairs_per_archive=2)
    archives = sorted(out.glob("*.tar"))
    assert [a.name for a in archives] == [f"train-{n:05d}.tar" for n in range(3)]
    for archive, files in zip(archives, (6, 6, 3), strict=True):
        with tarfile.open(archive) as content:
            assert len(content.getnames()) == files
    rows = list(datasets.load_dataset(str(out), split="train", streaming=True))
    assert [row["txt"] for row in rows] == CAPTIONS
    assert [row["json"]["seed_id"] for row in rows] == ["000", "001", "002", "003", "004"]
    assert rows[0]["jpg"].size == (40, 30)


SRGB, LAB = (
    ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes() for space in ("sRGB", "LAB")
)
IMAGES = {
    "jpeg": (photo(0), ".jpg"),
    "png": (photo(1, "PNG"), ".png"),
    "webp": (photo(2, "WEBP", lossless=True), ".webp"),
    "gray": (photo(3, "JPEG", "L"), ".jpg"),
    "profiled": (photo(4, "JPEG", icc_profile=SRGB), ".jpg"),
}
UNUSUAL = {
    "turned": photo(
        4, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    ),
    "transparent": photo(5, "PNG", "RGBA"),
    "gif": photo(6, "GIF", "P"),
    "cmyk": photo(7, "JPEG", "CMYK"),
    "unfinished": photo(10)[:-2],
    "wide gamut": photo(9, "PNG", icc_profile=LAB),
    "animated": photo(8, "WEBP", save_all=True, append_images=[Image.new("RGB", (40, 30))]),
}


def test_images_that_trainers_read_are_not_touched(tmp_path):
    """JPEG, PNG and WebP keep their bytes, under the suffix of what they are."""
    table = pa.table({"image": [data for data, _ in IMAGES.values()], "caption": ["x"] * 5})
    out, _ = export(table, tmp_path)
    files = sorted((out / "train").glob("0*"))
    assert [(file.read_bytes(), file.suffix) for file in files] == list(IMAGES.values())


def test_other_images_become_upright_opaque_jpeg(tmp_path):
    """What a trainer would read wrongly is converted; `never` rejects it instead."""
    table = pa.table({"image": list(UNUSUAL.values()), "caption": list(UNUSUAL)})
    out, _ = export(table, tmp_path)
    for file in sorted((out / "train").glob("0*")):
        image = Image.open(file)
        image.load()
        assert (image.format, image.mode, image.getexif().get(0x0112)) == ("JPEG", "RGB", None)
    assert Image.open(out / "train" / "000000000000.jpg").size == (30, 40)

    table = pa.concat_tables([table, pa.table({"image": [photo(0)], "caption": ["x"]})])
    _, result = export(table, tmp_path, output_path=str(tmp_path / "b"), convert_images="never")
    assert result.rejects["reason"].to_pylist() == ["needs_conversion"] * 7


@pytest.mark.parametrize("arguments", [{"convert_images": "all"}, {"layout": "webdataset"}])
def test_all_images_become_jpeg_where_asked_or_needed(tmp_path, arguments):
    """A PNG comes out as a JPEG that looks the same; a JPEG keeps its bytes."""
    table = pa.table({"image": [photo(1), photo(1, "PNG")], "caption": ["x", "y"]})
    out, _ = export(table, tmp_path, **arguments)
    dataset = datasets.load_dataset(str(out), split="train")
    column = "jpg" if "layout" in arguments else "image"
    raw = dataset.cast_column(column, datasets.Image(decode=False))[column]
    files = [cell["bytes"] or Path(cell["path"]).read_bytes() for cell in raw]
    assert files[0] == photo(1)
    assert files[1][:2] == b"\xff\xd8"
    assert np.abs(pixels(files[1]).astype(int) - pixels(photo(1, "PNG"))).mean() < 3


def test_every_bad_row_is_one_reject(tmp_path):
    """Missing, corrupt and truncated images and missing captions are reported one by one."""
    cut = photo(0)[:-200]
    images = [photo(0), None, b"", b"<html>", cut, cut + b"\xff\xd9", photo(1), photo(2)]
    table = pa.table({"image": images, "caption": [*"abcdef", None, "\u200b"]})
    out, result = export(table, tmp_path)
    assert len(list((out / "train").glob("*.jpg"))) == 1
    reasons = ["no_image", "empty", "not_an_image", *["truncated"] * 2, *["no_caption"] * 2]
    assert result.rejects["reason"].to_pylist() == reasons


def test_file_names_are_made_of_ids_alone(tmp_path):
    """An id that no file system should see is hashed; captions and URLs never name a file."""
    ids = ["0-00001", "../../etc/passwd", "A", "a", "x" * 300, "x-masklabel"]
    table = pairs(6).add_column(0, "id", pa.array(ids))
    out, _ = export(table, tmp_path)
    names = sorted(file.name for file in (out / "train").glob("*.jpg"))
    assert [name for name in names if len(name) < 30] == ["0-00001.jpg", "a.jpg"]
    assert sum(len(name) == 36 and name[:-4].isalnum() for name in names) == 4


def test_metadata_takes_any_type_but_binary(tmp_path):
    """Lists and numbers that are none go into the JSON; other columns must be left out."""
    table = pairs(2).append_column("colours", pa.array([["a"], []]))
    table = table.append_column("score", pa.array([math.nan, 0.5]))
    consumes = json.dumps({name: name for name in ("colours", "score")})
    out, _ = export(table, tmp_path, options={"consumes": consumes})
    lines = (out / "train" / "metadata.jsonl").read_text().splitlines()
    assert json.loads(lines[0]) == {
        "file_name": "000000000000.jpg",
        "text": "a cat",
        "seed_id": "000",
        "similarity": 0.5,
        "colours": ["a"],
        "score": None,
        "width": 40,
        "height": 30,
        "clip_tokens": 2,
    }


def test_texts_that_look_like_dates_stay_texts(tmp_path):
    """Readers of JSON would take them for points in time, so a table tells their type."""
    times = pa.array([0, 1], pa.timestamp("us", tz="UTC"))
    table = pairs(2).append_column("when", times)
    table = table.append_column("day", pa.array(["2026-11-27", "2026-11-28"]))
    consumes = json.dumps({name: name for name in ("when", "day")})
    out, _ = export(table, tmp_path, options={"consumes": consumes})
    dataset = datasets.load_dataset("imagefolder", data_dir=str(out), split="train")
    assert dataset["day"][:] == ["2026-11-27", "2026-11-28"]
    assert dataset["when"][0] == "1970-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("text", "has a meaning of its own to the readers; give it another name"),
        ("mask_file_name", "has a meaning of its own to the readers; give it another name"),
        ("extra", "is binary, which metadata cannot hold; leave it out"),
    ],
)
def test_fields_that_readers_would_misread_are_refused(tmp_path, name, problem):
    """A field that cannot be metadata is an error before anything is written."""
    table = pairs(2).append_column("extra", pa.array([b"x", b"y"]))
    options = {"consumes": json.dumps({name: "extra"})}
    with pytest.raises(InputDataError) as error:
        export(table, tmp_path, options=options)
    assert str(error.value) == f"export_dataset: field {name!r} {problem}."
    assert not (tmp_path / "out").exists()


def test_an_earlier_export_is_replaced(tmp_path):
    """Exporting again to the same folder leaves the new pairs only."""
    export(pairs(5), tmp_path, layout="kohya")
    (tmp_path / "out" / ".unfinished").mkdir()
    out, _ = export(pairs(2), tmp_path)
    assert sorted(p.name for p in out.iterdir()) == [
        "README.md",
        "croissant.json",
        "export.json",
        "train",
    ]
    assert len(list((out / "train").iterdir())) == 3


@pytest.mark.parametrize("after_export", [False, True])
def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path, after_export):
    """Nothing of the user's is overwritten or deleted, not even beside an earlier export."""
    mine = tmp_path / "out" / "train" / "mine.txt"
    if after_export:
        export(pairs(2), tmp_path)
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text("mine")
    with pytest.raises(StorageError) as error:
        export(pairs(3), tmp_path)
    problem = "is not empty (it holds 'train/mine.txt'); choose an empty or a new folder."
    if after_export:
        problem = (
            "is not as it was exported: train/mine.txt was added. Nothing was overwritten. To keep "
            "the folder as it is, choose another output_path or move it away; to have it exported "
            "anew, remove it."
        )
    assert str(error.value) == f"{tmp_path / 'out'}: {problem}"
    assert mine.read_text() == "mine"


def test_a_failed_export_leaves_nothing(tmp_path):
    """If no pair is good, the earlier export stays as it was, and no new folder is left."""
    bad = pa.table({"image": [b"no"], "caption": ["x"]})
    message = (
        "export_dataset: no pairs to train on. Rows that came to the export: 1. Of these none "
        "were written, and not_an_image 1 rejected. Rows that earlier steps rejected are not among "
        "them: `fondant-spec show` of a step's result counts them by reason."
    )
    with pytest.raises(InputDataError) as error:
        export(bad, tmp_path)
    assert str(error.value) == message
    assert list((tmp_path / "out").iterdir()) == []
    out, _ = export(pairs(3), tmp_path)
    with pytest.raises(InputDataError):
        export(bad, tmp_path)
    assert len(datasets.load_dataset("imagefolder", data_dir=str(out), split="train")) == 3


def test_an_object_store_is_a_target(tmp_path):
    """A URL gets the same files, and is refused and replaced by the same rules."""
    fs = fsspec.filesystem("memory")
    target = f"memory://{tmp_path.name}/out"
    for count in (3, 2):
        export(pairs(count), tmp_path, output_path=target)
        names = [name.partition("/out/")[2] for name in fs.find(target)]
        images = [f"train/{number:012d}.jpg" for number in range(count)]
        own = ["README.md", "croissant.json", "export.json"]
        assert sorted(names) == [*own, *images, "train/metadata.jsonl"]
    fs.pipe(f"{target}/mine.txt", b"mine")
    with pytest.raises(StorageError, match=r"as it was exported: mine\.txt was added"):
        export(pairs(2), tmp_path, output_path=target)


def test_an_image_turned_by_late_metadata_is_exported_upright(tmp_path):
    """A PNG that says behind its pixels how it is turned becomes what was captioned."""
    data = photo(3, kind="PNG")
    exif = (
        b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"
        + bytes(4)
    )
    place = data.index(b"IEND") - 4
    late = struct.pack(">I", len(exif)) + b"eXIf" + exif
    late += struct.pack(">I", zlib.crc32(b"eXIf" + exif))
    table = pa.table({"image": [data[:place] + late + data[place:]], "caption": ["a cat"]})
    folder, _ = export(table, tmp_path)
    read = datasets.load_dataset("imagefolder", data_dir=str(folder), split="train")[0]["image"]
    assert read.size == (30, 40)
    upright = np.asarray(Image.open(io.BytesIO(data)).transpose(Image.Transpose.ROTATE_270))
    assert np.abs(np.asarray(read).astype(int) - upright).mean() < 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"validation_fraction": 1.0},
            "must be at least 0 and below 1, not 1.0.",
        ),
        ({"validation_fraction": math.nan}, "must have finite numbers only, not nan."),
        ({"resolution": 0}, "must be at least 1, not 0."),
        ({"pairs_per_archive": 0}, "must be at least 1, not 0."),
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path, arguments, message):
    """The error names the argument, its range and the value."""
    with pytest.raises(InvalidArgumentError) as error:
        export(pairs(1), tmp_path, **arguments)
    (name,) = arguments
    assert str(error.value) == f"export_dataset: argument {name!r} {message}"


def test_an_unwritable_target_is_a_clear_error(tmp_path):
    """A path below a file cannot be a folder."""
    (tmp_path / "file").write_text("")
    with pytest.raises(FondantError, match=r"file/out: cannot be written \(.*Not a directory"):
        export(pairs(1), tmp_path, output_path=str(tmp_path / "file" / "out"))
