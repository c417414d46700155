"""Describing a dataset, and tracing a row to its origin."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from fondant_spec.dataset.lineage import describe, find_row, lineage, origin, some_ids
from fondant_spec.errors import InvalidArgumentError, InvalidDatasetError
from fondant_spec.testing import write_dataset
from tests.small import dataset


def test_a_summary(enter, tmp_path):
    """Rows, fields with what made them, and rejects by reason are told."""
    made = enter("double", dataset(tmp_path, 2, number=[1, None, 3]), words=["--run_id", "run-1"])
    assert describe(made) == "\n".join(
        [
            f"manifest  {made.location}",
            "rows      2 in 2 partitions",
            "disk      0.0 MB",
            "fields",
            "  number  int64",
            "  double  int64  factor 2",
            "rejects",
            "  no_number  1",
        ]
    )
    assert origin(made) == f"pipeline/double (run run-1, key {made.cache_key})"
    assert "rejects   none" in describe(dataset(tmp_path, number=[1]))


def test_lineage_goes_back_over_new_ids(enter, tmp_path):
    """From the last row back to the first source, with what made each field."""
    source = dataset(tmp_path, 2, number=[0, 1, 2])
    many = enter("repeat", source)
    words = ["--consumes", '{"number": "turn"}']
    made = enter("double", enter("keep_even", many, words=words), words=words, factor=5)
    assert lineage(made, "000000000002-00000").splitlines() == [
        "double: 000000000002-00000",
        "  double: 0  (factor 5)",
        "repeat: 000000000002-00000",
        "  turn: 0",
        "  seed_id: 000000000002",
        "given: 000000000002",
        "  number: 2",
    ]


def test_lineage_of_joined_branches(enter, tmp_path):
    """Every branch that a row came by is told, and what they share once."""
    source = dataset(tmp_path, 2, number=[1, 2])
    one = enter("double", source, words=["--step_id", "one"])
    words = ["--step_id", "two", "--produces", '{"double": "again"}']
    two = enter("double", source, words=words, factor=3)
    words = ["--produces", '{"negative": "n"}', "--input_manifest_path"]
    made = enter("waits", words=[*words, json.dumps([one.location, two.location])])
    steps = [line for line in lineage(made, "000000000001").splitlines() if line[0] != " "]
    assert [line.split(":")[0] for line in steps] == ["waits", "one", "two", "given"]


def test_long_values_are_shortened(tmp_path):
    """Bytes are told as their size, vectors as their length, long texts cut."""
    table = pa.table(
        {
            "image": pa.array([b"x" * 1234]),
            "vector": pa.array([[0.5] * 16], pa.list_(pa.float32())),
            "box": pa.array([[1, 2]]),
            "text": ["a\nb" + "c" * 200],
            "none": pa.array([None], pa.string()),
        }
    )
    made = write_dataset(table, tmp_path)
    assert lineage(made, "000000000000").splitlines()[1:] == [
        "  image: 1,234 bytes",
        "  vector: 16 numbers",
        "  box: [1, 2]",
        "  text: a b" + "c" * 117 + "...",
        "  none: None",
    ]


def test_a_row_is_found_in_any_row_group(tmp_path):
    """The last row of a large partition is found, with all its fields."""
    made = dataset(tmp_path, 200_000, number=list(range(150_000)))
    assert find_row(made, "000000149999") == {"id": "000000149999", "number": 149_999}


@pytest.mark.parametrize("row_id", ["nobody", "", "000000000001x"])
def test_no_such_row(tmp_path, row_id):
    """An id that is not there is an error that says where to find some."""
    made = dataset(tmp_path, 2, number=[1, 2, 3])
    with pytest.raises(InvalidArgumentError) as caught:
        lineage(made, row_id)
    assert str(caught.value) == (
        f"{made.location}: there is no row {row_id!r}; `fondant-spec show` lists some ids."
    )


def test_some_ids(tmp_path):
    """The first ids are listed, over partitions, no more than asked for."""
    made = dataset(tmp_path, 2, number=[1, 2, 3])
    assert some_ids(made) == [f"{n:012d}" for n in range(3)]
    assert some_ids(made, 1) == ["000000000000"]
    assert some_ids(dataset(tmp_path, number=[])) == []


def test_a_dataset_that_lost_a_file(tmp_path):
    """The file is named, and what to do."""
    made = dataset(tmp_path, number=[1, 2])
    (Path(made.data_location) / "part-00000.parquet").unlink()
    for look in (lambda: find_row(made, "000000000001"), lambda: some_ids(made)):
        with pytest.raises(InvalidDatasetError, match="the file is missing; run the step that"):
            look()
