"""Scores of any type that an index may have are compared with a limit."""

from decimal import Decimal

import pyarrow as pa
import pytest

from fondant_spec.errors import InputDataError
from image_toolkit.retrieval.search.scores import Told, check_scores, exceeds


def above(scores: pa.Array, limit: float = 0.5) -> list[bool]:
    """Return which scores are above a limit."""
    return exceeds(pa.table({"NSFW": scores}), "NSFW", limit, "max_unsafe", set()).tolist()


@pytest.mark.parametrize(
    "scores",
    [
        pa.array([0.99, 0.1, None]),
        pa.array([0.99, 0.1, float("nan")], pa.float16()),
        pa.array([1, 0, None], pa.int8()),
        pa.array([True, False, None]),
        pa.array(["NSFW", "UNLIKELY", None]),
        pa.array([" nsfw ", "UNSURE", ""], pa.large_string()),
        pa.array(["0.99", "0.1", "nan"]),
        pa.array(["True", "False", "None"]),
        pa.array(["unsafe", "safe", None], pa.string_view()),
        pa.array(["NSFW", "UNLIKELY", None]).dictionary_encode(),
        pa.array(["0.99", "1e-1", None]).dictionary_encode(),
        pa.array([0.99, 0.1, None]).dictionary_encode(),
        pa.array([Decimal("0.99"), Decimal("0.10"), None], pa.decimal128(5, 2)),
        pa.array([Decimal("0.99"), Decimal("0.10"), None], pa.decimal256(40, 30)),
        pa.chunked_array([pa.array(["NSFW", "x"][:1]), pa.array(["UNLIKELY", None])]),
    ],
    ids=lambda scores: str(scores.type),
)
def test_the_first_is_unsafe(scores: pa.Array) -> None:
    """In whatever type: numbers, truths, decimals, words and numbers as texts, categories."""
    assert above(scores) == [True, False, False]
    assert above(scores, 1) == [False] * 3


def test_words_that_nobody_understands(caplog: pytest.LogCaptureFixture) -> None:
    """What the filter cannot read, it does not let through, and says so."""
    assert above(pa.array(["explicit", "UNLIKELY", "99%"])) == [True, False, True]
    assert "neither a number nor a known word ('99%', 'explicit')" in caplog.text


def test_words_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Not for each batch; another word, or the same one in another column, is told."""
    told: Told = set()
    for column, words in [("NSFW", ["x"]), ("NSFW", ["x"]), ("NSFW", ["x", "y"]), ("other", ["x"])]:
        table = pa.table({column: words})
        assert exceeds(table, column, 0.5, "max_unsafe", told).all()
    ends = [record.getMessage().partition(" of images in ")[2][:6] for record in caplog.records]
    words = [record.getMessage().partition("known word ")[2][:5] for record in caplog.records]
    assert ends == ["'NSFW'", "'NSFW'", "'other"]
    assert words == ["('x')", "('y')", "('x')"]


def test_nothing_but_nulls() -> None:
    """A score that no row has breaks no limit."""
    assert above(pa.nulls(2)) == [False, False]
    assert above(pa.array([], pa.string())) == []


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float32()), pa.binary(), pa.timestamp("s"), pa.struct([("a", pa.int8())])]
)
def test_what_is_no_score(kind: pa.DataType) -> None:
    """Another type is refused, unless no limit asks for it."""
    schema = pa.schema([("NSFW", kind)])
    check_scores(schema, "NSFW", 1, "max_unsafe")
    check_scores(schema, None, 0.5, "max_unsafe")
    with pytest.raises(InputDataError) as error:
        check_scores(schema, "NSFW", 0.5, "max_unsafe")
    assert f"max_unsafe: the index's column 'NSFW' is of the type {kind}" in str(error.value)
    with pytest.raises(InputDataError, match="max_unsafe=1"):
        above(pa.nulls(1, kind))
