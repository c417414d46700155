"""Folders of images as people and tools leave them: every image is a row, or is told."""

import csv
import io
import json
import os
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fondant_spec.errors import InputDataError

TEXT = {"text": "string"}
NAMES = [
    *("train_station.jpg", "training day.jpg", "train1.jpg", "test.jpg", "val 3.jpg", "dev-1.jpg"),
    *("b-testing.jpg", "eval/a.jpg", "eval/train.jpg", "a/test/b.jpg", "validation.png", "z.jpg"),
]


@pytest.fixture
def fill(tmp_path, photo):
    """Return a function that writes images, and other files, into a folder."""

    def write(*names, **files):
        folder = tmp_path / "photos"
        for number, name in enumerate(names):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(photo(number))
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder

    return write


def reasons(result):
    """Return (reason, what the message says of it) for all rejects."""
    return list(zip(*(result.rejects[c].to_pylist() for c in ("reason", "message")), strict=True))


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
    """A column that ends in `_file_name` is a column of images, by the name before that."""
    lines = [
        {"file_name": "a.jpg", "mask_file_name": "masks/m.png"},
        {"file_name": "b.jpg", "mask_file_name": None},
    ]
    files = {"metadata.jsonl": "\n".join(map(json.dumps, lines)), "masks/m.png": photo(9, "PNG")}
    result = load(fill("a.jpg", "b.jpg", **files), produces={"mask": "binary"})
    assert result.table["mask"].to_pylist()[:2] == [photo(9, "PNG"), None]
    assert result.table["file_name"].to_pylist() == ["a.jpg", "b.jpg", "masks/m.png"]


def test_images_are_known_by_what_they_are(fill, load, photo, caplog):
    """Any suffix will do where the first bytes are an image's; the rest is counted, and told."""
    files = {
        "IMG_7.jpg_large": photo(1),
        "PHOTO.AVIF": photo(2, "AVIF"),
        "x.jfif": photo(3),
        "no_suffix": photo(4, "PNG"),
        "y.JPG": photo(5),
        "z.jxl": b"\xff\x0a" + bytes(20),
        "w.HEIC": b"\x00\x00\x00\x18ftypheic" + bytes(20),
        "notes.pdf": b"%PDF",
        "clip.mp4": b"\x00\x00\x00\x18ftypmp42",
        "other.pdf": b"%PDF",
    }
    result = load(fill(**files))
    assert result.table["file_name"].to_pylist() == sorted(list(files)[:5])
    assert sorted(reasons(result)) == [
        ("not_an_image", "w.HEIC: HEIF: broken, or the package pi-heif is missing"),
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


def test_rejects_and_fields_say_which_file(fill, load):
    """The path of an image is a field from the start, and begins the message of its reject."""
    result = load(fill("b.jpg", **{"a/garbage.jpg": b"garbage", "empty.jpg": b""}))
    assert result.table["file_name"].to_pylist() == ["b.jpg"]
    assert reasons(result)[0][1].startswith("a/garbage.jpg: not a JPEG")
    assert reasons(result)[1] == ("empty", "empty.jpg: no bytes")


def img2dataset_files(fill, photo):
    """Return a folder as img2dataset's `files` output lies."""
    files = {}
    for shard in ("00000", "00001"):
        for number in range(2):
            key = f"{shard}/{shard}000{number}"
            files[f"{key}.jpg"] = photo(number)
            files[f"{key}.txt"] = f"caption {key}"
            files[f"{key}.json"] = json.dumps({"caption": "x", "url": f"http://{key}", "width": 16})
        table = io.BytesIO()
        pq.write_table(pa.table({"url": ["u"], "status": ["success"]}), table)
        files[f"{shard}.parquet"] = table.getvalue()
        files[f"{shard}_stats.json"] = json.dumps({"count": 2, "successes": 2})
    return fill(**files)


def test_the_files_that_img2dataset_leaves(fill, load, photo):
    """Its images are the rows; captions come from the texts, more from the objects beside them."""
    fields = {"caption": "string", "url": "string", "width": "int32"}
    result = load(img2dataset_files(fill, photo), produces=fields)
    keys = ["00000/000000000", "00000/000000001", "00001/000010000", "00001/000010001"]
    assert result.table["caption"].to_pylist() == [f"caption {key}" for key in keys]
    assert result.table["url"].to_pylist() == [f"http://{key}" for key in keys]
    assert result.table["width"].to_pylist() == [16] * 4
    assert len(result.rejects) == 0


def test_our_own_kohya_export(fill, load):
    """What `export_dataset` wrote for kohya loads with its captions."""
    files = {
        "README.md": "---\ntask_categories:\n- text-to-image\n---\n# Images with captions\n",
        "export.json": '{"layout": "kohya", "files": "0"}\n',
        "dataset.toml": "[general]\n",
        "train/1.txt": "a cat\n",
        "train/2.txt": "a dog\n",
        "validation/3.txt": "a cow\n",
    }
    folder = fill("train/1.jpg", "train/2.jpg", "validation/3.jpg", **files)
    assert load(folder, produces=TEXT).table["text"].to_pylist() == ["a cat", "a dog"]
    assert load(folder, produces=TEXT, split="validation").table["text"].to_pylist() == ["a cow"]


def test_our_own_imagefolder_export(fill, load):
    """What its README says of splits holds."""
    files = {
        "README.md": (
            "---\nconfigs:\n- config_name: default\n  data_files:\n"
            "  - split: train\n    path: train/**\n---\n"
        ),
        "export.json": "{}",
        "train/metadata.jsonl": '{"file_name": "1.jpg", "text": "a cat", "similarity": 0.10}\n',
    }
    folder = fill("train/1.jpg", **files)
    result = load(folder, produces={"text": "string", "similarity": "float32"})
    assert result.table["text"].to_pylist() == ["a cat"]
    assert load(folder, produces={"similarity": "string"}).table["similarity"][0].as_py() == "0.10"


def shard(folder, name, samples):
    """Write a tar archive of samples, files by name."""
    folder.mkdir(exist_ok=True)
    with tarfile.open(folder / name, "w") as archive:
        for member, content in samples.items():
            entry = tarfile.TarInfo(member)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def test_the_archives_that_img2dataset_leaves(tmp_path, load, photo):
    """Tables and statistics beside the archives are none of the samples."""
    folder = tmp_path / "shards"
    for number in range(2):
        samples = {
            f"{number}0.jpg": photo(0),
            f"{number}0.json": json.dumps({"url": None}).encode(),
            f"{number}0.txt": b"None",
            f"{number}1.json": json.dumps({"url": "http://late"}).encode(),
            f"{number}1.jpg": photo(1),
        }
        shard(folder, f"0000{number}.tar", samples)
        pq.write_table(pa.table({"url": ["u"]}), folder / f"0000{number}.parquet")
        (folder / f"0000{number}_stats.json").write_text("{}")
    result = load(folder, produces={"text": "string", "url": "string", "json": "string"})
    assert result.table["image"].to_pylist() == [photo(0), photo(1)] * 2
    assert result.table["text"].to_pylist() == ["None", None] * 2
    assert result.table["url"].to_pylist() == [None, "http://late"] * 2
    assert result.table["json"][1].as_py() == '{"url": "http://late"}'
    assert result.table["file_name"][0].as_py() == "00000.tar/00.jpg"
    assert len(result.rejects) == 0


def test_members_that_lead_elsewhere_are_refused(tmp_path, load, photo):
    """Links, devices, pipes and paths out of an archive are rejects, each by name."""
    with tarfile.open(tmp_path / "hostile.tar", "w") as archive:

        def add(name, kind=tarfile.REGTYPE, content=b"", target=""):
            entry = tarfile.TarInfo(name)
            entry.type, entry.size, entry.linkname = kind, len(content), target
            archive.addfile(entry, io.BytesIO(content))

        add("a.jpg", content=photo(1))
        add("b.jpg", tarfile.SYMTYPE, target="/etc/passwd")
        add("c.jpg", tarfile.LNKTYPE, target="a.jpg")
        add("d.jpg", tarfile.FIFOTYPE)
        add("e.jpg", tarfile.CHRTYPE)
        add("../f.jpg", content=photo(2))
        add("/g.jpg", content=photo(3))
        add("h.jpg", content=photo(4))
    result = load(tmp_path / "hostile.tar")
    assert result.table["image"].to_pylist() == [photo(1), photo(4)]
    told = [(reason, message.split(": ")[0]) for reason, message in reasons(result)]
    assert told == [
        *(("not_a_file", f"hostile.tar/{name}.jpg") for name in "bcde"),
        ("path_outside_dataset", "hostile.tar/../f.jpg"),
        ("path_outside_dataset", "hostile.tar//g.jpg"),
    ]


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
