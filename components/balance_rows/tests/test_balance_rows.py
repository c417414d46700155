"""Balancing groups of rows, over all partitions."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fondant_spec.errors import InputDataError, InvalidArgumentError
from fondant_spec.testing import Result, run_component

FOLDER = Path(__file__).parents[1]
REPEATS = {"produces": '{"repeats": "int32"}'}


def run(tmp_path: Path, columns: dict[str, object], **arguments: object) -> Result:
    """Run the component over some columns, three rows a partition."""
    return run_component(FOLDER, pa.table(columns), tmp_path, rows_per_partition=3, **arguments)


def kept(result: Result) -> list[int]:
    """Return the numbers of the rows that stay."""
    return [int(row_id) for row_id in result.table["id"].to_pylist()]


def test_at_most_so_many_of_a_group(tmp_path):
    """The best stay; a row that is in no group is not left out; the others are told."""
    columns = {
        "class": ["cat", "cat", None, "dog", "cat", None, "cat"],
        "score": [0.1, 0.9, 0.0, 0.0, None, 0.0, 0.8],
    }
    result = run(tmp_path, columns, by="class", most=2, best="score")
    assert kept(result) == [1, 2, 3, 5, 6]
    assert result.rejects["reason"].to_pylist() == ["over_represented"] * 2
    assert result.rejects["message"][0].as_py() == "cat: 4 rows, of which 2 stay"


def test_which_ones_stay_is_drawn_the_same_each_time(tmp_path):
    """By their ids: neither the first ones, nor others next time."""
    columns = {"seed_id": ["a"] * 30}
    first = kept(run(tmp_path / "a", columns, by="seed_id", most=10))
    assert first == kept(run(tmp_path / "b", columns, by="seed_id", most=10))
    assert len(first) == 10
    assert first != list(range(10))


def test_hosts(tmp_path):
    """Of URLs the hosts count; what is no URL has none, and stays."""
    urls = ["https://www.a.org/1", "https://a.org/2", "http://b.org/", "no url", None, "http://["]
    result = run(tmp_path, {"image_url": urls}, by="host(image_url)", most=1)
    assert len(result.table) == 5
    assert set(kept(result)) >= {2, 3, 4, 5}


def test_clusters_of_vectors(tmp_path):
    """What looks alike is a group: of two heaps of unlike size, as many stay of each."""
    draw = np.random.default_rng(0)
    heaps = [np.eye(8)[0]] * 20 + [np.eye(8)[1]] * 4
    vectors = [(heap + 0.05 * draw.standard_normal(8)).tolist() for heap in heaps]
    column = pa.array(vectors, pa.list_(pa.float32()))
    result = run(tmp_path, {"embedding": column}, clusters=2, most=4)
    assert sum(number < 20 for number in kept(result)) == 4
    assert len(result.table) == 8


def test_repeats_instead(tmp_path):
    """No row is left out; small groups are to be seen as often as large ones, within bounds."""
    columns = {"class": ["cat"] * 6 + ["dog"] * 2 + ["owl", None]}
    result = run(tmp_path, columns, by="class", options=REPEATS, most_repeats=4)
    assert result.table["repeats"].to_pylist() == [1] * 6 + [3, 3, 4, 1]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"by": "clas", "most": 1},
            InputDataError,
            "no field 'clas' to go by; did you mean 'class'",
        ),
        ({"by": "class", "best": "class", "most": 1}, InputDataError, "no field of numbers"),
        ({"clusters": 2, "most": 1}, InputDataError, "no field 'embedding'"),
        ({"most": 1}, InvalidArgumentError, "give either `by`"),
        ({"by": "class"}, InvalidArgumentError, "give `most`, or have the step produce"),
    ],
)
def test_what_it_cannot_do(tmp_path, arguments, error, message):
    """It is said before any row is left out."""
    with pytest.raises(error, match=message):
        run(tmp_path, {"class": ["cat"]}, **arguments)


@pytest.mark.parametrize(
    ("by", "column", "message"),
    [
        ("tags", [["a", "b"]], "by='tags' is list<.*string>; rows are grouped by a field that"),
        ("about", [{"class": "a"}], "by='about' is struct<.*>; rows are grouped"),
        ("image", [b"GIF"], "by='image' is binary; rows are grouped"),
        ("embedding", [[0.5, 0.5]], "by='embedding' is list<.*float>; rows are grouped"),
        ("host(size)", [1], r"by='host\(size\)' needs a field of URLs, and 'size' is int64"),
        ("host(urls)", [["http://a/"]], r"by='host\(urls\)' needs a field of URLs"),
    ],
)
def test_fields_without_one_value_a_row(tmp_path, by, column, message):
    """Lists, objects and bytes are no groups, and only texts have hosts."""
    name = by.removeprefix("host(").removesuffix(")")
    values = pa.array(column, pa.list_(pa.float32()) if name == "embedding" else None)
    with pytest.raises(InputDataError, match=message):
        run(tmp_path, {name: values}, by=by, most=1)


def test_a_dataset_without_rows(tmp_path):
    """Nothing in, nothing out."""
    assert len(run(tmp_path, {"class": pa.array([], pa.string())}, by="class", most=1).table) == 0


def test_vectors_that_are_none(tmp_path):
    """One of another length, or not finite, is a reject; the others fall into their clusters."""
    vectors = [[1.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.9, 0.1], [0.0, 1.0], [float("nan"), 1.0]]
    vectors += [[0.1, 0.9], [0.0, 0.0], [3.0, 3.0, 3.0]]
    column = pa.array(vectors, pa.list_(pa.float32()))
    options = {"max_reject_share": "1", "produces": '{"repeats": "int32"}'}
    result = run(tmp_path, {"embedding": column}, clusters=2, options=options)
    assert kept(result) == [0, 2, 3, 5]
    assert result.table["repeats"].to_pylist() == [1] * 4
    assert result.rejects.select(["id", "reason"]).to_pylist() == [
        {"id": f"{number:012d}", "reason": reason}
        for number, reason in [
            (1, "wrong_dimension"),
            (4, "bad_embedding"),
            (6, "bad_embedding"),
            (7, "wrong_dimension"),
        ]
    ]


def test_no_vector_at_all(tmp_path):
    """All rows are rejects, and nothing is clustered."""
    column = pa.array([[0.0, 0.0]] * 4, pa.list_(pa.float32()))
    options = {"max_reject_share": "1"}
    result = run(tmp_path, {"embedding": column}, clusters=2, most=1, options=options)
    assert result.rejects["reason"].to_pylist() == ["bad_embedding"] * 4


def test_a_number_that_is_none_is_no_group(tmp_path):
    """NaN counts as null: no group of its own, to be repeated most of all."""
    columns = {"class": [1.0, 1.0, 1.0, 2.0, float("nan"), float("nan"), None]}
    result = run(tmp_path / "a", columns, by="class", options=REPEATS)
    assert result.table["repeats"].to_pylist() == [1, 1, 1, 3, 1, 1, 1]
    assert kept(run(tmp_path / "b", columns, by="class", most=1))[-3:] == [4, 5, 6]
