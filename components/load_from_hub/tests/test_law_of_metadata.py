"""The law of rows, on images with a metadata file: each line and each image comes out, or is told.

What comes out is held against what an independent reader finds: csv, json and pathlib.
FUZZ_EXAMPLES=5000 in the environment makes it a long run.
"""

import csv
import json
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tests.made_datasets import fuzzed, load, picture, texts, workplace

NAMES = ["a.png", "b.png", "train.png", "test 1.png", "é [1].png", "c::d.png", "x/a.png"]
NAMES += ["eval/e.png"]
lines = st.lists(
    st.tuples(st.sampled_from(NAMES), st.none() | texts, st.booleans()), min_size=1, max_size=8
)


def write_csv(path, made):
    """Write lines as CSV, in which nothing is null; return what is in it as csv reads it."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "text"])
        writer.writerows([name, text] for name, text, _ in made)
    with path.open(newline="", encoding="utf-8") as file:
        return [(name, text or None) for name, text in list(csv.reader(file))[1:]]


def write_json_lines(path, made):
    """Write lines as JSON; return what is in it as json reads it.

    A text that is none is a null or left out, but for the first: some line must name the column.
    """
    named = [number == 0 or null or text is not None for number, (_, text, null) in enumerate(made)]
    told = [
        {"file_name": name} | ({"text": text} if is_named else {})
        for (name, text, _), is_named in zip(made, named, strict=True)
    ]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in told), encoding="utf-8")
    read = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [(line["file_name"], line.get("text")) for line in read]


@fuzzed
@given(st.sets(st.sampled_from(NAMES), min_size=1), lines, st.sampled_from(["csv", "jsonl"]))
def test_metadata(there, made, kind):
    """A line is the row of its image, with its text; an image that no line names has a null."""
    with workplace() as (work, _):
        folder = work / "photos"
        for number, name in enumerate(sorted(there)):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(picture(number))
        write = write_csv if kind == "csv" else write_json_lines
        told = write(folder / f"metadata.{kind}", made)
        rows, messages = load(folder, work, {"text": "string"})
        unnamed = there - {name for name, _ in told}
        expected = [line for line in told if line[0] in there] + [(n, None) for n in unnamed]
        assert Counter((row["file_name"], row["text"]) for row in rows) == Counter(expected)
        assert all(row["image"] == (folder / row["file_name"]).read_bytes() for row in rows)
        gone = [name for name, _ in told if name not in there]
        assert sorted(message.partition(": ")[0] for message in messages) == sorted(gone)
