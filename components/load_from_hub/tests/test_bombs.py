"""Files of rows that unpack to more than a machine has: refused, or read a little at a time."""

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fondant_spec.errors import InputDataError
from tests.peak_memory import peak_memory


def texts(load, path):
    """Return the texts that are loaded from a file."""
    return load(path, image_column="", produces={"text": "string"})


def repeated(count, value):
    """Return a column that says one value so many times, and holds it once."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array([value]))


def test_numbers_without_end_in_one_row_are_refused(load, tmp_path):
    """A file of a kilobyte that says one number so many times is refused by its footer."""
    count = 40_000_000
    numbers = pa.ListArray.from_arrays([0, count], pa.array(np.zeros(count, np.int64)))
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"text": ["a"], "numbers": numbers}), path, compression="zstd")
    assert path.stat().st_size < 2000
    told = (
        r"rows.parquet: row group 0: the column numbers.list.element unpacks from \d+ bytes to "
        "305 MB, over 200 times as much"
    )
    with peak_memory() as peak, pytest.raises(InputDataError, match=told):
        load(
            path,
            image_column="",
            produces={"numbers": {"type": "array", "items": {"type": "int64"}}},
        )
    assert peak.mb < 100
    assert texts(load, path).table["text"].to_pylist() == ["a"]  # the columns asked for count


def test_a_text_without_end_is_refused(load, tmp_path):
    """So is one that is packed."""
    path = tmp_path / "rows.parquet"
    table = pa.table({"text": ["x" * (300 << 20)]})
    pq.write_table(table, path, compression="zstd", use_dictionary=False, write_statistics=False)
    with pytest.raises(InputDataError, match=r"the column text unpacks from \d+ bytes to 300 MB"):
        texts(load, path)


def test_what_a_dictionary_repeats_is_read_a_little_at_a_time(load, tmp_path):
    """A value that many rows share is held a few times, however many rows may be held at a time."""
    value, count = b"x" * (4 << 20), 300
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"image": repeated(count, value)}), path, compression="zstd")
    assert path.stat().st_size < 4000
    with peak_memory() as peak:
        result = load(path, batch_rows=1000)
    assert result.rejects["reason"].to_pylist() == ["not_an_image"] * count
    assert peak.mb < 300  # of 1200


def test_what_texts_share_is_read_a_little_at_a_time(load, tmp_path):
    """A text of which only what differs from the one before is written is held as few times."""
    count = 600
    table = pa.table({"image": [b"x" * (2 << 20)] * count})
    path = tmp_path / "rows.parquet"
    coded = {"use_dictionary": False, "column_encoding": "DELTA_BYTE_ARRAY"}
    pq.write_table(table, path, compression="zstd", write_statistics=False, **coded)
    assert path.stat().st_size < 100_000
    del table
    with peak_memory() as peak:
        result = load(path, batch_rows=1000)
    assert result.rejects["reason"].to_pylist() == ["not_an_image"] * count
    assert peak.mb < 300  # of 1200


def test_what_a_dictionary_repeats_comes_out_as_it_is(load, tmp_path):
    """In a column, in a struct, in lists, and beside what is null."""
    value, count = "x" * (3 << 20), 30
    path = tmp_path / "rows.parquet"
    rows = {
        "text": pa.DictionaryArray.from_arrays(pa.array([0, None, 1] * 10), pa.array([value, "b"])),
        "tags": pa.array([[value, None, "b"], None, []] * 10),
    }
    pq.write_table(pa.table(rows), path, compression="zstd", store_schema=False)
    produces = {"text": "string", "tags": {"type": "array", "items": {"type": "string"}}}
    table = load(path, image_column="", produces=produces, batch_rows=count).table
    for name, column in rows.items():
        assert table[name].to_pylist() == column.to_pylist(), name


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv"])
def test_a_line_without_end_is_refused(load, tmp_path, name):
    """A packed text of 200 MB is not held whole, be it a line of JSON or a cell of CSV."""
    path = tmp_path / f"{name}.gz"
    start = b'{"text": "' if name.endswith("jsonl") else b"text\n"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(start)
        for _ in range(200):
            file.write(b"x" * 1_000_000)
    with (
        peak_memory() as peak,
        pytest.raises(InputDataError, match="a line has over 64 MB"),
    ):
        texts(load, path)
    assert peak.mb < 300


def test_values_without_end_in_a_line_are_its_reject(load, tmp_path):
    """A value of two bytes takes sixty in memory; a line may not hold millions of them."""
    path = tmp_path / "rows.jsonl"
    path.write_text(
        "\n".join([json.dumps({"text": "a"}), '{"text": [' + "1," * 8_000_001 + "1]}", ""])
    )
    result = texts(load, path)
    assert result.table["text"].to_pylist() == ["a"]
    (reject,) = result.rejects.to_pylist()
    assert reject["reason"] == "bad_line"
    assert "holds over 8000000 values" in reject["message"]
