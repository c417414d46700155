"""Vectors of all rows: their common dimension, and errors in those that differ."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fondant_spec.dataset.manifest import Field
from image_toolkit.gathered_vectors import GatheredVectors, dimension_of

LIST = pa.list_(pa.float32())


def gathered(rows, dimension=None, batch_rows=2, kind=LIST):
    """Return the vectors, the rows that have one, and what is wrong with the others."""
    found = GatheredVectors(dimension, np.float32)
    for start in range(0, len(rows), batch_rows):
        found.add(pa.array(rows[start : start + batch_rows], kind))
    return found.joined()


def test_the_dimension_of_most():
    """One odd row is odd wherever it stands; a null is no vector, and nothing wrong."""
    rows = [[1.0], [3.0, 4.0], None, [], [0.0, 2.0], [float("nan"), 1.0], [0.0, 0.0], [None, 1.0]]
    vectors, known, bad = gathered(rows)
    assert vectors[known] == pytest.approx(np.array([[0.6, 0.8], [0.0, 1.0]]))
    assert np.flatnonzero(known).tolist() == [1, 4]
    assert {row: reason for row, (reason, _) in bad.items()} == {
        **dict.fromkeys((0, 3), "wrong_dimension"),
        **dict.fromkeys((5, 6, 7), "bad_embedding"),
    }
    assert bad[0][1] == "1 dimensions instead of 2"


@given(st.permutations([[1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], None]))
def test_the_order_does_not_matter(rows):
    """Of lengths that as many have, the largest."""
    _, known, bad = gathered(rows)
    assert known.tolist() == [row is not None and len(row) == 3 for row in rows]
    assert sorted(bad) == [n for n, row in enumerate(rows) if row is not None and len(row) < 3]


def test_a_dimension_that_is_known():
    """It stands, whatever most rows have."""
    vectors, known, bad = gathered([[1.0], [2.0], [0.0, 1.0]], dimension=2)
    assert vectors.tolist() == [[0, 0], [0, 0], [0, 1]]
    assert known.tolist() == [False, False, True]
    assert sorted(bad) == [0, 1]


def test_lists_of_one_size():
    """Nulls among them have no vector."""
    vectors, known, bad = gathered(
        [[0.0, 2.0], None, [1.0, 0.0]], 2, kind=pa.list_(pa.float32(), 2)
    )
    assert vectors.tolist() == [[0, 1], [0, 0], [1, 0]]
    assert known.tolist() == [True, False, True]
    assert bad == {}


def test_nothing():
    """No rows, or none with a vector, are no vectors."""
    assert gathered([])[0].shape == (0, 1)
    assert not gathered([None, None])[1].any()


def test_what_a_field_says():
    """By its type, or by what its maker says; nonsense is nothing said."""
    assert dimension_of(Field("e", pa.list_(pa.float32(), 7), "e")) == 7
    assert dimension_of(Field("e", LIST, "e", {"dimension": 512})) == 512
    assert dimension_of(Field("e", LIST, "e", {"dimension": "?"})) is None
    assert dimension_of(Field("e", LIST, "e")) is None
