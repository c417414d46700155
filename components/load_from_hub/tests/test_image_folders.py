"""Folders of images as people and tools leave them: every image is a row, or is told."""

import csv
import io
import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fondant_spec.errors import InputDataError
from tests.told_rejects import reasons

TEXT = {"text": "string"}
NAMES = [
    *("train_station.jpg", "training day.jpg", "train1.jpg", "test.jpg", "val 3.jpg", "dev-1.jpg"),
    *("b-testing.jpg", "eval/a.jpg", "eval/train.jpg", "a/test/b.jpg", "validation.png", "z.jpg"),
]


@pytest.mark.parametrize("metadata", [False, True], ids=["alone", "metadata"])
@pytest.mark.parametrize("name", [*NAMES, *NAMES[:1]])
def test_no_image_is_lost_by_its_name(fill, load, name, metadata):
    """A word that elsewhere means a split is a name like any other; metadata changes nothing."""
    names = ["one.jpg", "two.jpg", name]
    files = {}
    if metadata:
        lines = [json.dumps({"file_name": path, "text": path}) for path in names]
        files["metadata.jsonl"] = "\n".join(lines)
    result = load(fill(*names, **files), produces=TEXT if metadata else {})
    assert sorted(result.table["file_name"].to_pylist()) == sorted(names)
    assert len(result.rejects) == 0
    if metadata:
        assert result.table["text"].to_pylist() == names


def test_all_such_names_together(fill, load):
    """Together they are one split, too, in the order of their paths."""
    result = load(fill(*NAMES))
    assert result.table["file_name"].to_pylist() == sorted(NAMES)


def test_a_layout_of_splits_is_one_and_says_so(fill, load, caplog):
    """Folders for training and testing are splits; images beside them are for training."""
    lines = {
        f"{split}/metadata.jsonl": json.dumps({"file_name": "a.jpg", "text": split})
        for split in ("train", "test")
    }
    folder = fill("train/a.jpg", "test/a.jpg", "cover.jpg", **lines)
    caplog.set_level("INFO")
    result = load(folder, produces=TEXT)
    assert result.table["file_name"].to_pylist() == ["train/a.jpg", "cover.jpg"]
    assert result.table["text"].to_pylist() == ["train", None]
    assert "loads the split 'train'" in caplog.text
    assert "not test" in caplog.text
    assert load(folder, produces=TEXT, split="test").table["text"].to_pylist() == ["test"]
    with pytest.raises(InputDataError, match=r"no split 'all'. Splits: test \(.*; train \("):
        load(folder, split="all")


def test_metadata_of_all_splits_in_one_file(fill, load):
    """A row belongs to the split of the image that it names."""
    lines = [
        {"file_name": f"{s}/{n}.jpg", "text": f"{s} {n}"} for s in ("val", "train") for n in "ab"
    ]
    names = [line["file_name"] for line in lines[:3]]
    folder = fill(*names, **{"metadata.jsonl": "\n".join(map(json.dumps, lines))})
    result = load(folder, produces=TEXT)
    assert result.table["text"].to_pylist() == ["train a"]
    assert [reason for reason, _ in reasons(result)] == ["file_not_found"]
    assert load(folder, produces=TEXT, split="val").table["text"].to_pylist() == ["val a", "val b"]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_rows_that_no_metadata_names_have_null_texts(fill, load, kind):
    """`c.jpg` comes, after those that are named; so do rows with an empty or a missing text."""
    rows = [{"file_name": "b.jpg", "text": "x"}, {"file_name": "a.jpg", "text": None}]
    file = io.BytesIO()
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    elif kind == "csv":
        file.write(b"file_name,text\nb.jpg,x\na.jpg,\n")
    else:
        file.write(b'{"file_name": "b.jpg", "text": "x"}\n{"file_name": "a.jpg"}\n')
    folder = fill("a.jpg", "b.jpg", "c.jpg", **{f"metadata.{kind}": file.getvalue()})
    result = load(folder, produces=TEXT)
    assert result.table["file_name"].to_pylist() == ["b.jpg", "a.jpg", "c.jpg"]
    assert result.table["text"].to_pylist() == ["x", None, None]
    assert len(result.rejects) == 0


def test_metadata_may_name_further_images(fill, load, photo):
    """A column that ends in `_file_name` is one of images, which are no rows of their own."""
    lines = [
        {"file_name": "a.jpg", "mask_file_name": "masks/m.png"},
        {"file_name": "b.jpg", "mask_file_name": None},
    ]
    files = {"metadata.jsonl": "\n".join(map(json.dumps, lines)), "masks/m.png": photo(9, "PNG")}
    result = load(fill("a.jpg", "b.jpg", **files), produces={"mask": "binary"})
    assert result.table["mask"].to_pylist() == [photo(9, "PNG"), None]
    assert result.table["file_name"].to_pylist() == ["a.jpg", "b.jpg"]


def test_images_are_known_by_what_they_are(fill, load, photo, caplog):
    """Any suffix will do where the first bytes are an image's; the rest is counted, and told."""
    files = {
        "IMG_7.jpg_large": photo(1),
        "PHOTO.AVIF": photo(2, "AVIF"),
        "x.jfif": photo(3),
        "no_suffix": photo(4, "PNG"),
        "y.JPG": photo(5),
        "z.jxl": b"\xff\x0a" + bytes(20),
        "z.bmp": photo(6, "BMP"),
        "w.HEIC": b"\x00\x00\x00\x18ftypheic" + bytes(20),
        "notes.pdf": b"%PDF",
        "clip.mp4": b"\x00\x00\x00\x18ftypmp42",
        "other.pdf": b"%PDF",
    }
    result = load(fill(**files))
    assert result.table["file_name"].to_pylist() == sorted(list(files)[:5])
    assert sorted(reasons(result)) == [
        ("not_an_image", "w.HEIC: HEIF: it is broken"),
        ("not_an_image", "z.bmp: BMP, which is not read; convert it"),
        ("not_an_image", "z.jxl: JPEG XL, which is not read; convert it"),
    ]
    assert "left out, as no part of the dataset: 1 .mp4, 2 .pdf" in caplog.text


def test_links(fill, load, tmp_path, photo, caplog):
    """A link inside the folder is a file; one that leads out is a reject, unless it is allowed."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret.jpg").write_bytes(photo(7))
    folder = fill("a.jpg", "below/b.jpg")
    (folder / "inside.jpg").symlink_to("a.jpg")
    (folder / "again").symlink_to("below")
    (folder / "loop").symlink_to(".")
    (folder / "out.jpg").symlink_to("../elsewhere/secret.jpg")
    (folder / "out").symlink_to("../elsewhere")
    (folder / "gone.jpg").symlink_to("nowhere.jpg")
    result = load(folder)
    assert result.table["file_name"].to_pylist() == ["a.jpg", "below/b.jpg", "inside.jpg"]
    told = reasons(result)
    assert [reason for reason, _ in told] == [
        "unreadable_file",
        "link_outside_dataset",
        "link_outside_dataset",
    ]
    assert told[1][1].startswith("out: it is a link that leads out of")
    assert "set follow_links to true" in told[1][1]
    assert "2 linked folder of the same dataset" in caplog.text
    result = load(folder, follow_links=True)
    names = ["a.jpg", "below/b.jpg", "inside.jpg", "out.jpg", "out/secret.jpg"]
    assert result.table["file_name"].to_pylist() == names


def test_pipes_and_devices_do_not_hang(fill, load, caplog):
    """A pipe in a folder is left out, and said; one that metadata name is a reject."""
    folder = fill(
        "a.jpg", **{"metadata.jsonl": '{"file_name": "pipe.jpg"}\n{"file_name": "a.jpg"}'}
    )
    os.mkfifo(folder / "pipe.jpg")
    result = load(folder)
    assert result.table["file_name"].to_pylist() == ["a.jpg"]
    assert [reason for reason, _ in reasons(result)] == ["unreadable_file"]
    assert "is no regular file, but a pipe" in reasons(result)[0][1]
    assert "1 pipe, device or socket" in caplog.text


@pytest.mark.parametrize("field", ["text", "caption"])
@pytest.mark.parametrize("readme", [False, True])
def test_captions_beside_images(fill, load, field, readme):
    """A text file beside each, as trainers read them, is the field `text`, and `caption`."""
    texts = {
        "a.txt": "a cat\n",
        "b.caption": "  spaces stay \u200b\r\n",
        "c.txt": "two\nlines",
        "d.txt": b"\xff\xfe" + "wide".encode("utf-16-le"),
        "e.txt": b"\xef\xbb\xbfNone",
        "f.txt": "",
        "lonely.txt": "of no image",
    }
    if readme:
        texts["README.md"] = "---\nlicense: cc0-1.0\n---\n# My photos\n"
    result = load(fill(*(f"{n}.jpg" for n in "abcdefg"), **texts), produces={field: "string"})
    assert result.table[field].to_pylist() == [
        *("a cat", "  spaces stay \u200b", "two\nlines", "wide", "None", "", None)
    ]


@pytest.mark.parametrize(
    ("files", "columns"),
    [
        ({"a.txt": "a cat"}, "text, caption"),
        ({"metadata.jsonl": '{"file_name": "a.jpg", "text": "x", "score": 1}\n'}, "text, score"),
    ],
)
def test_columns_that_are_not_loaded_are_told(fill, load, caplog, files, columns):
    """Captions that the step does not ask for are named in the log, those it loads are not."""
    caplog.set_level("INFO")
    folder = fill("a.jpg", **files)
    load(folder)
    assert f"{folder}: columns that are there and not loaded, as" in caplog.text
    assert f"does not name them: {columns}\n" in caplog.text
    caplog.clear()
    load(folder, produces=dict.fromkeys(columns.split(", "), "string"))
    assert "not loaded" not in caplog.text


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "is empty; fill it, or remove it to load the images alone."),
        ('{"name": "a.jpg", "text": "x"}', "has no column `file_name` .* Columns: name, text."),
    ],
)
def test_metadata_that_name_no_images(fill, load, content, told):
    """A file that is empty, or has other columns, is told as what it is."""
    with pytest.raises(InputDataError, match=rf"metadata\.jsonl: {told}$"):
        load(fill("a.jpg", **{"metadata.jsonl": content}))


def test_a_caption_that_is_no_text_is_told(fill, load):
    """Bytes in another encoding are no guess, but a reject by name; unasked, they do not matter."""
    folder = fill("a.jpg", "b.jpg", **{"a.txt": b"caf\xe9", "b.txt": "ok"})
    result = load(folder, produces=TEXT)
    assert result.table["text"].to_pylist() == ["ok"]
    assert reasons(result)[0][0] == "bad_text"
    assert reasons(result)[0][1].startswith("a.jpg: the text beside it cannot be read")
    assert len(load(folder).rejects) == 0


def test_what_systems_leave_is_left_out(fill, load, photo, caplog):
    """Resource forks, thumbnails and hidden folders are no part of a dataset."""
    junk = {
        "._a.jpg": photo(8),
        "._metadata.jsonl": "\x00\x05",
        ".DS_Store": "",
        "Thumbs.db": "",
        "desktop.ini": "",
        "__MACOSX/b.jpg": photo(9),
        ".cache/huggingface/x.jpg": photo(9),
    }
    result = load(fill("a.jpg", **junk))
    assert result.table["file_name"].to_pylist() == ["a.jpg"]
    assert "7 hidden or the system's own" in caplog.text


def test_files_of_rows_beside_images(fill, load, caplog):
    """Where there are files of rows, they are the rows; that the images are not is said."""
    caplog.set_level("INFO")
    folder = fill("a.jpg", "b.jpg", **{"list.csv": "image,text\nb.jpg,x\n"})
    result = load(folder, produces=TEXT)
    assert result.table["file_name"].to_pylist() == ["b.jpg"]
    assert "the rows are those of its data files, not its 2 images" in caplog.text
    (folder / "list.csv").write_text("name,text\nb.jpg,x\n")
    with pytest.raises(InputDataError, match=r"not its 2 images; call a file that describes them"):
        load(folder)


def test_rejects_and_fields_say_which_file(fill, load):
    """The path of an image is a field from the start, and begins the message of its reject."""
    result = load(fill("b.jpg", **{"a/garbage.jpg": b"garbage", "empty.jpg": b""}))
    assert result.table["file_name"].to_pylist() == ["b.jpg"]
    assert reasons(result)[0][1].startswith("a/garbage.jpg: not a JPEG")
    assert reasons(result)[1] == ("empty", "empty.jpg: no bytes")


PRINTABLE = "".join(map(chr, range(0x20, 0x7F))).replace("/", "")


@pytest.mark.parametrize("kind", ["folder", "csv", "parquet"])
@pytest.mark.parametrize(
    "name",
    ["photos [set 1]", "a::b", "zip://x", "c:d", "#?*{}", "%20 +é猫", PRINTABLE, "~", "[!a]"],
)
def test_every_printable_character_may_be_in_a_path(tmp_path, load, photo, name, kind):
    """In the name of a folder and of the files in it, there is nothing that has a meaning."""
    folder = tmp_path / "data" / name
    folder.mkdir(parents=True)
    image = name.replace("/", "_") + ".jpg"
    (folder / image).write_bytes(photo(3))
    dataset = folder
    if kind == "csv":
        dataset = folder / f"{name.replace('/', '_')}.csv"
        with dataset.open("w", newline="") as file:
            csv.writer(file).writerows([["image"], [image]])
    elif kind == "parquet":
        dataset = folder / f"{name.replace('/', '_')}.parquet"
        pq.write_table(pa.table({"image": [image]}), dataset)
    result = load(dataset)
    assert result.table["file_name"].to_pylist() == [image]
    assert result.table["image"].to_pylist() == [photo(3)]
    assert len(result.rejects) == 0
