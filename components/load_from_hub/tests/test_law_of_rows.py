"""The law of rows, on made datasets: what lies in files comes out, or is told, and texts stay.

What comes out is held against what an independent reader finds: pathlib, csv, json, tarfile,
pyarrow, Pillow. FUZZ_EXAMPLES=5000 in the environment makes it a long run.
"""

import csv
import io
import json
import logging
import os
import re
import tarfile
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fondant_spec.errors import InputDataError
from fondant_spec.testing import run_component

COMPONENT = Path(__file__).parents[1]
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "15"))
fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)

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
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["None", "NA", "null", "0.10", "True", "\u200b", " x ", "a\r\nb", '"', "1e5"]
)


def picture(number):
    """Return a small PNG, another one for each number."""
    file = io.BytesIO()
    Image.new("RGB", (3, 2), (number % 256, number // 256, 7)).save(file, "PNG")
    return file.getvalue()


@contextmanager
def workplace():
    """Yield an empty folder, and the list of what is logged."""
    logged = []
    handler = logging.Handler()
    handler.emit = lambda record: logged.append(record.getMessage())
    logging.getLogger().addHandler(handler)
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder), logged
    finally:
        logging.getLogger().removeHandler(handler)


def load(dataset, work, fields, **arguments):
    """Run the component; return its rows and the messages of its rejects."""
    result = run_component(
        COMPONENT,
        None,
        work,
        options={"produces": json.dumps(fields), "max_reject_share": "1", "cache": "false"},
        dataset_name=str(dataset),
        **arguments,
    )
    rows = result.table.to_pylist() if len(result.table) else []
    return rows, result.rejects["message"].to_pylist()


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
    """Write made files; return image path to caption, and what else there is, by path."""
    images, others = {}, {}
    for number, (below, parts, suffix, kind, caption) in enumerate(made):
        path = folder / below / file_name(parts, suffix)
        if path.exists() or path.is_symlink() or path.with_suffix(".txt").exists():
            continue
        path.parent.mkdir(exist_ok=True)
        name = path.relative_to(folder).as_posix()
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "link out":
            path.symlink_to(outside)
        elif kind == "link in":
            (folder / "target.png").write_bytes(picture(999))
            path.symlink_to(folder / "target.png")
            images["target.png"] = images.get("target.png")
        else:
            path.write_bytes({"image": picture(number), "garbage": b"garbage", "empty": b""}[kind])
        others[name] = kind
        if kind == "image" and caption is not None and path.suffix not in (".txt", ".caption", ""):
            path.with_suffix(".txt").write_bytes(caption.encode() + b"\n")
    return others


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
        told = sum(any(m.startswith(f"{n}: ") for m in messages) for n in names_in(folder, files))
        assert told == len(messages)
        for path in files:
            name = path.relative_to(folder).as_posix()
            if name in by_name:
                assert by_name[name]["image"] == path.read_bytes()
                assert by_name[name].get("text") == beside(path)
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
        lost -= {folder / name for name in by_name}
        assert all(p.suffix in (".txt", ".caption", ".json") for p in lost), lost


def names_in(folder, files):
    """Return the paths of files below a folder."""
    return [path.relative_to(folder).as_posix() for path in files]


def load_all_splits(folder, work):
    """Return the rows and rejects of all splits of a folder."""
    rows, messages = [], []
    for split in ("train", "test"):
        has_text = any(folder.rglob("*.txt"))
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


cells = st.one_of(st.none(), texts.filter(bool))


@fuzzed
@given(st.lists(st.tuples(cells, cells, st.integers(0, 9)), min_size=1, max_size=12), st.booleans())
def test_csv(made, windows):
    """Every record that csv finds is a row with the same texts, or a reject with its line."""
    with workplace() as (work, _):
        path = work / "rows.csv"
        with path.open("w", newline="", encoding="utf-8-sig" if windows else "utf-8") as file:
            writer = csv.writer(file, lineterminator="\r\n" if windows else "\n")
            writer.writerow(["a", "b"])
            for first, second, kind in made:
                writer.writerow([first, second, "x"] if not kind else [first, second])
        with path.open(newline="", encoding="utf-8-sig") as file:
            records = list(csv.reader(file))[1:]
        rows, messages = load(path, work, {"a": "string", "b": "string"}, image_column="")
        good = [[cell or None for cell in r] for r in records if len(r) == 2]
        assert [[row["a"], row["b"]] for row in rows] == good
        assert len(messages) == sum(len(r) not in (0, 2) for r in records)


spelled = st.one_of(
    texts.map(lambda text: (json.dumps(text), text)),
    texts.map(lambda text: (json.dumps(text, ensure_ascii=False), text)),
    st.sampled_from(["0.10", "7", "-0", "1E+2", "12345678901234567890123"]).map(lambda n: (n, n)),
    st.sampled_from([("true", "true"), ("null", None), ("", None)]),
    st.sampled_from(
        [('{"x": 1}', KeyError), ("[]", KeyError), ('"\\ud800"', KeyError), ("}", KeyError)]
    ),
)


@fuzzed
@given(st.lists(spelled, min_size=1, max_size=12), st.booleans())
def test_json_lines(made, windows):
    """A text or a number comes out as it is spelled; a line that has none is a reject."""
    with workplace() as (work, _):
        end = "\r\n" if windows else "\n"
        lines = [f'{{"text": {token}, "n": 1}}' if token else '{"n": 1}' for token, _ in made]
        (work / "rows.jsonl").write_bytes(end.join(lines).encode())
        try:
            rows, messages = load(work / "rows.jsonl", work, {"text": "string"}, image_column="")
        except InputDataError as error:
            assert "no column 'text'" in str(error)  # noqa: PT017
            assert not any(token and meant is not KeyError for token, meant in made)
            return
        assert [row["text"] for row in rows] == [m for _, m in made if m is not KeyError]
        assert len(messages) == sum(meant is KeyError for _, meant in made)


KINDS = [
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.binary(),
    pa.dictionary(pa.int8(), pa.string()),
]


@fuzzed
@given(
    st.lists(st.none() | texts, min_size=1, max_size=12), st.sampled_from(KINDS), st.integers(1, 5)
)
def test_parquet(made, kind, group):
    """Texts of any type of text are the same texts."""
    with workplace() as (work, _):
        stored = [t.encode() for t in made if t is not None] if kind == pa.binary() else None
        values = [None if t is None else (t.encode() if stored is not None else t) for t in made]
        table = pa.table(
            {"text": pa.array(values, kind), "image": [picture(n) for n in range(len(made))]}
        )
        pq.write_table(table, work / "rows.parquet", row_group_size=group)
        rows, messages = load(work / "rows.parquet", work, {"text": "string"}, batch_rows=group)
        assert [row["text"] for row in rows] == made
        assert [row["image"] for row in rows] == table["image"].to_pylist()
        assert messages == []


members = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c/a", "c/b", "d [1]", "é", "../x", "/y", "e::f", ".hidden"]),
        st.sampled_from([".png", ".png", ".jpg", ".txt", ".json", ".seg.png", ".PNG"]),
        st.sampled_from(
            [tarfile.REGTYPE] * 9 + [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE]
        ),
        texts,
    ),
    min_size=1,
    max_size=10,
)


@fuzzed
@given(members)
def test_archives(made):
    """Every image of an archive comes out with the text of its sample; what is refused is told."""
    with workplace() as (work, _):
        path = work / "rows.tar"
        with tarfile.open(path, "w") as archive:
            for number, (stem, suffix, kind, text) in enumerate(made):
                entry = tarfile.TarInfo(stem + suffix)
                content = (
                    picture(number) if suffix.lower().endswith((".png", ".jpg")) else text.encode()
                )
                content = json.dumps({"t": text}).encode() if suffix == ".json" else content
                entry.type, entry.linkname = kind, "a.png"
                entry.size = len(content) if kind == tarfile.REGTYPE else 0
                archive.addfile(entry, io.BytesIO(content))
        expected, refused = read_archive(path)
        try:
            rows, messages = load(path, work, {"t": "string"} if len(made) > 99 else {})
        except InputDataError as error:
            assert re.search("no column|no rows", str(error))  # noqa: PT017
            assert not expected
            return
        assert sorted(row["image"] for row in rows) == sorted(expected)
        assert sum("no image" not in m and "null" not in m for m in messages) == refused


def read_archive(path):
    """Return the first image of each sample, and how many members are to be refused."""
    images, refused = [], 0
    sample, seen = None, {}
    with tarfile.open(path) as archive:
        for member in archive:
            folder, _, base = member.name.rpartition("/")
            if base.startswith("."):
                continue
            stem, _, suffix = base.partition(".")
            suffix = suffix.lower()
            if (folder, stem) != sample or suffix in seen:
                images += first_image(seen)
                sample, seen = (folder, stem), {}
            bad = (
                not member.isreg() or ".." in member.name.split("/") or member.name.startswith("/")
            )
            refused += bad
            if not bad:
                seen[suffix] = archive.extractfile(member).read()
    return images + first_image(seen), refused


def first_image(sample):
    """Return the image of a sample, by the order of the suffixes that are looked for."""
    found = [sample[suffix] for suffix in ("jpg", "png") if suffix in sample]
    return found[:1]


def test_the_law_is_not_empty():
    """An image taken from the folder behind the reader's back would be noticed."""
    with workplace() as (work, logged):
        folder = work / "photos"
        write_folder(
            folder, work, [("", ["a"], ".jpg", "image", "x"), ("", ["b"], ".pdf", "garbage", None)]
        ) if folder.mkdir() is None else None
        rows, messages = load_all_splits(folder, work)
        assert (len(rows), len(messages), left_out(logged)) == (1, 0, 1)
        assert rows[0]["text"] == "x"
        with pytest.raises(KeyError):
            _ = {row["file_name"]: row for row in rows}["b.pdf"]
