"""Ids of rows that are kept and of rejects, and the numbers and names of classes."""

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fondant_spec.errors import InputDataError


def test_a_reject_never_has_the_id_of_a_kept_row(tmp_path, load):
    """With an index it has its own id; a row without one is called by its place in the source."""
    keys, numbers = [4, 0, 1, None, 2, 4], ["1", "2", "x", "3", "y", "6"]
    pq.write_table(pa.table({"key": keys, "n": numbers}), tmp_path / "rows.parquet")
    fields = {"n": "int64"}
    result = load(tmp_path / "rows.parquet", image_column="", index_column="key", produces=fields)
    kept, rejected = result.table["id"].to_pylist(), result.rejects["id"].to_pylist()
    assert kept == ["000000000004", "000000000000"]
    assert rejected == ["000000000001", "000000000002", "row 3", "row 5"]
    assert result.rejects["reason"].to_pylist() == [
        *("bad_value", "bad_value", "no_id", "duplicate_id")
    ]


def test_without_an_index_a_reject_has_the_number_of_its_row(tmp_path, load):
    """The rows that are kept have the numbers of theirs."""
    (tmp_path / "rows.csv").write_text("n\n1\nx\n3\n")
    result = load(tmp_path / "rows.csv", image_column="", produces={"n": "int64"})
    assert result.table["id"].to_pylist() == ["000000000000", "000000000002"]
    assert result.rejects["id"].to_pylist() == ["000000000001"]


@pytest.mark.parametrize(
    ("declared", "labels"),
    [
        ("int64", [0, 1, -1, None]),
        ("float32", [0.0, 1.0, -1.0, None]),
        ("string", ["cat", "dog", None, None]),
        ("large_string", ["cat", "dog", None, None]),
    ],
)
def test_classes_are_numbers_or_names_as_declared(tmp_path, load, declared, labels):
    """The names of classes are texts; a step that declares a number gets what is stored."""
    features = datasets.Features({"label": datasets.ClassLabel(names=["cat", "dog"])})
    rows = datasets.Dataset.from_dict({"label": [0, 1, -1, None]}, features=features)
    rows.to_parquet(tmp_path / "rows.parquet")
    result = load(tmp_path / "rows.parquet", image_column="", produces={"label": declared})
    assert result.table["label"].to_pylist() == labels
    assert len(result.rejects) == 0


README = """---
dataset_info:
  features:
  - name: label
    dtype:
      class_label:
        names:
          {first}: dog
          '0': cat
---
"""


def test_a_number_of_no_class_is_a_reject(tmp_path, load):
    """Only -1 says that there is no class; classes go by their numbers, however they are listed."""
    (tmp_path / "README.md").write_text(README.format(first="'1'"))
    pq.write_table(pa.table({"label": [0, 1, -1, 2, None]}), tmp_path / "rows.parquet")
    result = load(tmp_path, image_column="", produces={"label": "string"})
    assert result.table["label"].to_pylist() == ["cat", "dog", None, None]
    (reject,) = result.rejects.to_pylist()
    assert (reject["id"], reject["reason"]) == ("000000000003", "bad_value")
    assert reject["message"].endswith("label: 2 is none of its 2 classes")


def test_classes_without_a_number_are_refused(tmp_path, load):
    """Names that lack a number could be anybody's."""
    (tmp_path / "README.md").write_text(README.format(first="'3'"))
    pq.write_table(pa.table({"label": [0]}), tmp_path / "rows.parquet")
    with pytest.raises(InputDataError, match=r"numbers the classes \[0, 3\]; number them from 0"):
        load(tmp_path, image_column="", produces={"label": "string"})
