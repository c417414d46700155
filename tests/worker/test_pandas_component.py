"""How the pandas base class handles what an author's method returns."""

import pyarrow as pa
import pytest

from fondant_spec.component import PandasTransformComponent, RowContext
from fondant_spec.dataset.rejects import Rejects
from fondant_spec.errors import CardinalityError

LARGE = 9007199254740993  # no float64


def made(change, *outputs):
    """Return what comes of a batch whose frame is changed in some way."""

    class Changes(PandasTransformComponent):
        def transform(self, frame, context):
            return change(frame)

    batch = pa.record_batch(
        {
            "id": ["a", "b", "c"],
            "n": pa.array([LARGE, None, 3], pa.int64()),
            "word": ["x", "y", "z"],
        }
    )
    context = RowContext(Rejects(), {}, frozenset(outputs))
    return pa.Table.from_batches(Changes().transform_batches(iter([batch]), context)).to_pydict()


def test_columns_that_come_back_unchanged_are_dropped():
    """A filter may return the frame, whether or not the step produces something."""
    assert made(lambda frame: frame[frame["word"] != "y"]) == {"id": ["a", "c"]}
    doubled = made(lambda frame: frame[frame["word"] != "y"].assign(twice=2), "twice")
    assert doubled == {"id": ["a", "c"], "twice": [2, 2]}


def test_pieces_may_be_put_together():
    """What pandas makes of several pieces is one batch again."""
    import pandas as pd  # noqa: PLC0415

    pieces = made(lambda frame: pd.concat([frame[:1], frame[1:]]).assign(twice="w"), "twice")
    assert pieces == {"id": ["a", "b", "c"], "twice": ["w"] * 3}


def test_whole_numbers_stay_whole():
    """Those beside a null are not rounded to what a float can hold."""
    assert made(lambda frame: frame[["n"]], "n") == {"id": ["a", "b", "c"], "n": [LARGE, None, 3]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.assign(word="other"), "returned 'word', changed or new"),
        (lambda frame: frame.assign(score=1.0), "returned 'score', changed or new"),
        (lambda frame: frame.reset_index(drop=True), "returned id 0 twice, or was not given it"),
        (lambda frame: frame.iloc[[0, 0]], "returned id 'a' twice"),
    ],
)
def test_what_is_refused(change, message):
    """An edit that the step does not produce is not lost without a word, nor is an id made up."""
    with pytest.raises(CardinalityError, match=message):
        made(change)
