"""Filtering rows by expressions over their fields."""

import logging
from pathlib import Path

import pyarrow as pa
import pytest

from fondant_spec.errors import InvalidArgumentError
from fondant_spec.testing import Result, run_component

FOLDER = Path(__file__).parents[1]
TABLE = pa.table(
    {
        "aesthetic_score": pa.array([6.0, 4.0, float("nan"), 7.0, 8.0], pa.float32()),
        "text_area": pa.array([0.0, 0.5, 0.0, 0.5, None], pa.float32()),
        "image_width": pa.array([512, 512, 512, 100, 512], pa.int32()),
        "host": ["a.org", "b.org", "it's", None, "a.org"],
        "embedding": pa.array([[1.0]] * 5, pa.list_(pa.float32())),
        "image": pa.array([b"x"] * 5, pa.binary()),
    }
)


def run(tmp_path: Path, **arguments: object) -> Result:
    """Run the component over the table, two rows a partition."""
    return run_component(FOLDER, TABLE, tmp_path, rows_per_partition=2, **arguments)


def kept(result: Result) -> list[int]:
    """Return the numbers of the rows that stay."""
    return [int(row_id) for row_id in result.table["id"].to_pylist()]


def reasons(result: Result) -> dict[int, str]:
    """Return why each of the others does not."""
    return {int(row["id"]): row["reason"] for row in result.rejects.to_pylist()}


def test_one_expression(tmp_path):
    """The fields that it names are read, without being named twice; a null or NaN is unknown."""
    where = "aesthetic_score > 5 AND text_area < 0.1 AND image_width >= 512"
    result = run(tmp_path, where=where)
    assert kept(result) == [0]
    assert reasons(result) == {1: "where", 2: "where_unknown", 3: "where", 4: "where_unknown"}
    assert (result.manifest.failed, result.manifest.rejects["where"]) == (0, 2)
    assert kept(run(tmp_path, where=where, unknown="keep")) == [0, 2, 4]


def test_named_rules(tmp_path, caplog):
    """The first that is broken takes the row and is its reason; the log says what each takes."""
    rules = {
        "pretty": "aesthetic_score > 5",
        "plain": "text_area < 0.1",
        "named": "host IS NOT NULL",
    }
    with caplog.at_level(logging.INFO):
        result = run(tmp_path, rules=rules)
    assert kept(result) == [0]
    assert reasons(result) == {1: "pretty", 2: "pretty_unknown", 3: "plain", 4: "plain_unknown"}
    assert result.rejects["message"].to_pylist() == [
        "aesthetic_score > 5 (aesthetic_score 4); also plain",
        "aesthetic_score > 5 (aesthetic_score nan)",
        "text_area < 0.1 (text_area 0.5); also named",
        "text_area < 0.1 (text_area null)",
    ]
    for line in (
        "pretty alone takes 2 of 5",
        "plain alone takes 3 of 5",
        "named alone takes 1 of 5",
    ):
        assert line in caplog.text


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("host = 'a.org'", [0, 4]),
        ("host = 'it''s' OR host = 'image'", [2]),
        ("coalesce(text_area, 0) < 0.1", [0, 2, 4]),
        ("HOST LIKE '%.org' AND id > '000000000000'", [1, 4]),
        ("true", [0, 1, 2, 3, 4]),
    ],
)
def test_what_an_expression_may_say(tmp_path, where, expected):
    """Functions, texts that look like fields, letters of either case, the id."""
    assert kept(run(tmp_path, where=where)) == expected


def test_what_a_rule_judged_is_told(tmp_path):
    """Each field that it names, once, by its own name; of a long text the beginning."""
    where = "image_width > 9 AND length(HOST) > 9 AND host <> 'x'"
    result = run(tmp_path, where=where)
    assert result.rejects["message"].to_pylist()[:2] == [
        f"{where} (image_width 512, host a.org)",
        f"{where} (image_width 512, host b.org)",
    ]
    assert run(tmp_path, where="false").rejects["message"].to_pylist()[0] == "false"
    long = run_component(FOLDER, pa.table({"host": ["x" * 99]}), tmp_path, where="host = 'y'")
    assert long.rejects["message"].to_pylist() == [f"host = 'y' (host {'x' * 60}...)"]


def test_when_no_row_is_left(tmp_path, caplog):
    """It is told, and is a dataset without rows."""
    result = run(tmp_path, where="image_width > 9999")
    assert len(result.table) == 0
    assert "no row of 5 is left" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"where": "asthetic_score > 5"},
            "no field 'asthetic_score'; did you mean 'aesthetic_score'",
        ),
        ({"where": "embedding > 5"}, "field 'embedding' holds more than a number"),
        ({"where": "aesthetic_score"}, "neither true nor false"),
        ({"where": "aesthetic_score >"}, "is no SQL expression"),
        ({"where": "host > 5 AND"}, "is no SQL expression"),
        ({"where": "host::int > 5"}, "Conversion Error"),
        ({"where": "avg(aesthetic_score) > 5"}, "GROUP BY"),
        ({"where": "true) FROM given; DROP TABLE given; SELECT (true"}, "filter_rows"),
        ({"where": "EXISTS (SELECT * FROM read_text('/etc/passwd'))"}, "queries in queries"),
        ({"where": "(SELECT count(*) FROM 'https://example.org/x.csv') > 0"}, "queries in queries"),
        ({"rules": {"a b": "true"}}, "a rule has a name of letters"),
        ({"rules": {"a": 5}}, "a rule has a name of letters"),
        ({"rules": {}}, "give either `where`"),
        ({"rules": {"a": "true"}, "where": "true"}, "give either `where`"),
        ({}, "give either `where`"),
    ],
)
def test_what_is_no_rule(tmp_path, arguments, message):
    """It is refused in one sentence: mistakes, and what reaches for anything but the rows."""
    with pytest.raises(InvalidArgumentError, match=message.replace("(", r"\(")):
        run(tmp_path, **arguments)


@pytest.mark.parametrize(
    "where", ["text_area / text_area > 0.9", "NOT (text_area / 0 - 1 / text_area <= 3)"]
)
def test_a_nan_that_a_rule_computes_is_unknown(tmp_path, where):
    """Nothing over nothing is no number: it is not above all others."""
    result = run(tmp_path, where=where)
    assert kept(result) == [1, 3]
    assert reasons(result) == dict.fromkeys((0, 2, 4), "where_unknown")
