import pyarrow as pa
import pytest

from demo.evaluate import evaluate, names
from fondant_spec.errors import InputDataError

TRUTH = {"http://a/1": "cat", "http://a/2": "cat", "http://a/3": "moon", "http://a/4": "moon"}
ROWS = [
    {"subject": "cat", "url": "http://a/1", "caption": "a cat with green eyes"},
    {"subject": "cat", "url": "http://a/2", "caption": "a photo of the moon"},
    {"subject": "cat", "url": "http://a/3", "caption": "craters on the moon"},
    {"subject": "moon", "url": "http://a/4", "caption": None},
]


@pytest.mark.parametrize(
    ("caption", "subjects"),
    [
        ("a photo of a cat", ("cat",)),
        ("A CAT!", ("cat",)),
        ("concatenated", ()),
        ("a moon over a temple", ("temple", "moon")),
        ("", ()),
    ],
)
def test_a_subject_is_named_by_its_whole_word(caption, subjects):
    """Case and punctuation do not matter; parts of words do not count."""
    assert names(caption) == subjects


@pytest.mark.parametrize("form", [list, pa.Table.from_pylist], ids=["rows", "table"])
def test_precision_and_caption_accuracy_are_told_apart(form):
    """A wrong image with a right caption costs precision alone, and the other way round."""
    result = evaluate(form(ROWS), TRUTH)
    cat, moon = result.by_subject
    assert (cat.subject, cat.rows, cat.precision) == ("cat", 3, pytest.approx(2 / 3))
    assert (cat.captions, cat.caption_accuracy) == (3, pytest.approx(2 / 3))
    assert (moon.precision, moon.captions, moon.caption_accuracy) == (1.0, 0, 0.0)
    assert (result.overall.rows, result.overall.precision) == (4, 0.75)


def test_a_result_prints_as_a_table():
    """One line a subject, and one for all."""
    assert str(evaluate(ROWS, TRUTH)).splitlines() == [
        "subject        images  precision  captions   right",
        "cat                 3      66.7%         3   66.7%",
        "moon                1     100.0%         0    0.0%",
        "all                 4      75.0%         3   66.7%",
    ]


def test_an_unknown_url_is_an_error():
    """A URL without a truth cannot be scored, and is named."""
    with pytest.raises(InputDataError) as caught:
        evaluate([{"subject": "cat", "url": "http://b/9"}], TRUTH)
    assert str(caught.value) == (
        "the URL 'http://b/9' is not in the truth table: was it made anew?"
    )
