"""The law of rows, on made tables and archives: all comes out, or is told, and texts stay.

What comes out is held against what an independent reader finds: csv, json, tarfile and pyarrow.
FUZZ_EXAMPLES=5000 in the environment makes it a long run.
"""

import csv
import io
import json
import re
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from fondant_spec.errors import InputDataError
from tests.made_datasets import fuzzed, load, picture, texts, workplace

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
