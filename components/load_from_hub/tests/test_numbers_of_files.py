"""Numbers are those of the file, to the last digit, or the row is a reject that says why not."""

import datetime as dt
import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

HUGE = "9007199254740993.0"


@pytest.mark.parametrize(
    ("cells", "declared", "kept", "messages"),
    [
        ([1.5, 2.0, 3.0], "int32", [2, 3], ["'1.5' is no whole number"]),
        ([float("nan"), 2.0], "int32", [2], ["'nan' is no whole number"]),
        ([3e9, 1.0], "int32", [1], ["'3000000000.0' is out of the range of int32"]),
        ([300, 7], "int8", [7], ["'300' is out of the range of int8"]),
        ([1e300, 0.5], "float32", [0.5], ["'1e+300' is out of the range of float"]),
        ([float("inf"), -3e38], "float32", [float("inf"), pytest.approx(-3e38)], []),
        ([0, 1, 2], "bool", [False, True], ["'2' is none of true, false, 1 and 0"]),
        ([0.5, 1.0], "bool", [], ["'0.5' is none", "'1.0' is none"]),
        ([Decimal("1.5"), Decimal("2.0")], "int64", [2], ["'1.5' is no whole number"]),
        (["1_000", "1", "0x1F", "٣"], "int64", [1], ["'1_000'", "'0x1F'", "'٣'"]),
        (["1_0.5", "2"], "float64", [2], ["'1_0.5' is no number"]),
        ([HUGE, "1e999999", "1e2"], "int64", [2**53 + 1, 100], ["'1e999999' is out of the range"]),
        ([b"\xff", b"ok"], "string", ["ok"], ["is no valid UTF-8"]),
        ([dt.time(1, 1, 1, 5), dt.time(1)], "time32", [dt.time(1)], ["cannot be read as time32"]),
        (
            pa.array([1_500, 2_000], pa.timestamp("ns")),
            "timestamp",
            [dt.datetime(1970, 1, 1, 0, 0, 0, 2)],  # noqa: DTZ001 - it has no zone
            ["'1970-01-01 00:00:00.000001500' cannot be read as timestamp"],
        ),
        (
            pa.array([1_500, 2_000], pa.duration("ns")),
            "duration",
            [dt.timedelta(microseconds=2)],
            ["'1500' cannot be read as duration"],
        ),
        (
            pa.array([10**18], pa.timestamp("us")),
            "int8",
            [],
            [" is no whole number"],
        ),
        ([1_700_000_000], "timestamp", [], ["'1700000000' cannot be read as timestamp"]),
        ([1.5], {"type": "string", "format": "date-time"}, [], ["cannot be read as timestamp"]),
        ([dt.time(1)], "int64", [], ["'01:00:00.000000' is no whole number"]),
        ([[1.5], [2.0]], {"type": "array", "items": {"type": "int32"}}, [[2]], ["'[1.5]'"]),
        (
            [[1e300], [2.0]],
            {"type": "array", "items": {"type": "float32"}},
            [[2.0]],
            ["'[1e+300]'"],
        ),
    ],
)
def test_a_cell_of_parquet_is_exact_or_a_reject(tmp_path, load, cells, declared, kept, messages):
    """No digit, fraction or size is lost without a word."""
    pq.write_table(pa.table({"d": cells}), tmp_path / "rows.parquet")
    result = load(tmp_path / "rows.parquet", image_column="", produces={"d": declared})
    assert result.table["d"].to_pylist() == kept
    told = result.rejects["message"].to_pylist()
    assert result.rejects["reason"].to_pylist() == ["bad_value"] * len(messages)
    for line, message in zip(told, messages, strict=True):
        assert message in line


def test_an_interval_is_no_time(tmp_path, load):
    """What has no text of its own is a reject with its value, as all other cells are."""
    table = pa.table({"d": pa.array([(1, 2, 3), None], pa.month_day_nano_interval())})
    with pa.ipc.new_file(tmp_path / "rows.arrow", table.schema) as file:
        file.write_table(table)
    wanted = {"d": {"type": "timestamp"}}
    result = load(tmp_path / "rows.arrow", image_column="", produces=wanted)
    assert result.rejects["reason"].to_pylist() == ["bad_value"]
    assert "MonthDayNano(months=1, days=2, nanoseconds=3)" in result.rejects["message"][0].as_py()


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_numbers_in_texts_are_exact_or_rejects(tmp_path, load, kind):
    """A whole number with a point keeps all its digits; digits between `_` are no number."""
    spelled = [HUGE, "1.5", "1e400", "12"]
    file = tmp_path / f"rows.{kind}"
    if kind == "csv":
        file.write_text("\n".join(["n", *spelled, "1_000", "1_0.5"]))
    else:
        extra = [json.dumps({"n": text}) for text in ("1_000", "1_0.5")]
        file.write_text("\n".join([*(f'{{"n": {n}}}' for n in spelled), *extra]))
    result = load(file, image_column="", produces={"n": "int64"})
    assert result.table["n"].to_pylist() == [2**53 + 1, 12]
    assert result.rejects["reason"].to_pylist() == ["bad_value"] * 4
    result = load(file, image_column="", produces={"n": "float64"})
    assert result.table["n"].to_pylist() == [float(HUGE), 1.5, 12.0]
    assert "'1e400' is out of the range of double" in result.rejects["message"][0].as_py()
