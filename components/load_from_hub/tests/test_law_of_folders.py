"""The law of rows, on made folders: all that lies in them comes out, or is told, and texts stay.

What comes out is held against what an independent reader finds: pathlib and Pillow.
FUZZ_EXAMPLES=5000 in the environment makes it a long run.
"""

import os
import re

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fondant_spec.errors import InputDataError
from tests.made_datasets import fuzzed, load, picture, texts, workplace

WORDS = [
    "train",
    "test",
    "val",
    "eval",
    "dev",
    "station",
    "metadata",
    "a",
    "b",
    "007",
    "None",
    "README",
]
ODD = "[]{}()*?#%:;&+=@!~'\"\\ ,-._é猫\u0301\n\t$"
SUFFIXES = [
    *(".jpg", ".JPG", ".png", ".jpg_large", ".jfif", ".webp", "", ".pdf", ".mp4", ".AVIF", ".txt"),
    *(".md", ".jxl", ".json", ".caption"),
]
stems = st.lists(
    st.one_of(st.sampled_from(WORDS), st.text(ODD, min_size=1, max_size=3)), min_size=1, max_size=3
)


def file_name(parts, suffix):
    """Return a file name that the operating system takes, and that is not hidden."""
    name = re.sub(r"^\.+", "", "".join(parts)) or "x"
    return name + suffix


entries = st.lists(
    st.tuples(
        st.sampled_from(["", "", "train", "test", "eval", "set [1]", "a:b", "x::y"]),
        stems,
        st.sampled_from(SUFFIXES),
        st.sampled_from(["image"] * 6 + ["garbage", "empty", "link in", "link out", "pipe"]),
        st.none() | texts,
    ),
    min_size=1,
    max_size=8,
)


def write_folder(folder, outside, made):
    """Write made files, links and pipes, and captions beside images."""
    for number, (below, parts, suffix, kind, caption) in enumerate(made):
        path = folder / below / file_name(parts, suffix)
        if path.exists() or path.is_symlink() or path.with_suffix(".txt").exists():
            continue
        path.parent.mkdir(exist_ok=True)
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "link out":
            path.symlink_to(outside)
        elif kind == "link in":
            (folder / "target.png").write_bytes(picture(999))
            path.symlink_to(folder / "target.png")
        else:
            path.write_bytes({"image": picture(number), "garbage": b"garbage", "empty": b""}[kind])
        if kind == "image" and caption is not None and path.suffix not in (".txt", ".caption", ""):
            path.with_suffix(".txt").write_bytes(caption.encode() + b"\n")


def is_image(path):
    """Return whether Pillow opens a file."""
    try:
        with Image.open(path) as image:
            return bool(image.size)
    except OSError:
        return False


@fuzzed
@given(entries)
def test_folders(made):
    """Every file is a row with its text, a reject by name, a text beside an image, or counted."""
    with workplace() as (work, logged):
        folder = work / "photos [1]"
        folder.mkdir()
        (work / "outside.png").write_bytes(picture(1))
        write_folder(folder, work / "outside.png", made)
        files = sorted(p for p in folder.rglob("*") if p.is_symlink() or not p.is_dir())
        if any(re.fullmatch("metadata.(csv|jsonl|parquet)", p.name) for p in files):
            return
        try:
            splits = load_all_splits(folder, work)
        except InputDataError as error:
            pictures = [p for p in files if p.is_file() and is_image(p) and not p.is_symlink()]
            assert not [p for p in pictures if not re.search(r"\.(json|txt|caption)$", p.name)]
            assert re.search("holds nothing|is not read|no column", str(error))  # noqa: PT017
            return
        rows, messages = splits
        by_name = {row["file_name"]: row for row in rows}
        assert len(by_name) == len(rows)
        names = [path.relative_to(folder).as_posix() for path in files]
        told = {n for n in names if any(m.startswith(f"{n}: ") for m in messages)}
        assert len(told) == len(messages)
        for path in files:
            name = path.relative_to(folder).as_posix()
            if name in by_name:
                assert by_name[name]["image"] == path.read_bytes()
                assert "text" not in by_name[name] or by_name[name]["text"] == beside(path)
        left = left_out(logged)
        sidecars = sum(
            path.suffix in (".txt", ".caption", ".json")
            and any(
                other.with_suffix("") == path.with_suffix("") for other in files if other != path
            )
            for path in files
        )
        counted = len(rows) + len(messages) + left
        assert counted <= len(files) <= counted + sidecars, (files, rows, messages, logged)
        lost = {p for p in files if p.is_file() and not p.is_symlink() and is_image(p)}
        lost -= {folder / name for name in (*by_name, *told)}
        assert all(p.suffix in (".txt", ".caption", ".json") for p in lost), lost


def load_all_splits(folder, work):
    """Return the rows and rejects of all splits of a folder."""
    rows, messages = [], []
    for split in ("train", "test"):
        has_text = any(p.suffix in (".txt", ".caption") for p in folder.rglob("*"))
        for fields in ({"text": "string"}, {}) if has_text else ({},):
            try:
                found = load(folder, work, fields, split=split)
            except InputDataError as error:
                if "no column 'text'" in str(error):
                    continue
                if "no split" in str(error) or "has no rows" in str(error):
                    break
                raise
            known = {row["file_name"] for row in rows}
            rows += [row for row in found[0] if row["file_name"] not in known]
            messages += [message for message in found[1] if message not in messages]
            break
    return rows, messages


def beside(path):
    """Return the text beside an image, if it has one that is no image itself."""
    for suffix in (".txt", ".caption"):
        text = path.with_suffix(suffix)
        if text != path and text.is_file() and path.suffix:
            content = text.read_bytes().decode("utf-8-sig")
            return re.sub("\r?\n\\Z", "", content)
    return None


def left_out(logged):
    """Return how many files the log says were left out."""
    told = [line for line in logged if "left out, as no part" in line]
    return (
        sum(map(int, re.findall(r"(?:: |, )(\d+) ", told[0].partition("dataset")[2])))
        if told
        else 0
    )


def test_one_folder_of_which_all_is_known():
    """A row with its text, and a file that is counted: what the law above adds up."""
    with workplace() as (work, logged):
        folder = work / "photos"
        folder.mkdir()
        made = [("", ["a"], ".jpg", "image", "x"), ("", ["b"], ".pdf", "garbage", None)]
        write_folder(folder, work, made)
        rows, messages = load_all_splits(folder, work)
        assert (len(rows), len(messages), left_out(logged)) == (1, 0, 1)
        assert rows[0]["text"] == "x"
