"""Rejects: rows that a step gave up on, each with its reason."""

import pytest

from fondant_spec.dataset.rejects import REJECTS_SCHEMA, Rejects


def test_rows_and_counts():
    """Failures and rows left out on purpose are both told, and only failures count as such."""
    rejects = Rejects()
    rejects.add("a", "not_an_image", "no magic bytes", attempts=2)
    rejects.filter("b", "too_small", "90 x 90")
    rejects.filter("c")
    assert (len(rejects), rejects.failed, rejects.ids()) == (3, 1, {"a", "b", "c"})
    assert rejects.counts == {"not_an_image": 1, "too_small": 1, "filtered": 1}
    assert [tuple(row.values()) for row in rejects.to_table().to_pylist()] == [
        ("a", "not_an_image", "no magic bytes", 2, False),
        ("b", "too_small", "90 x 90", 1, True),
        ("c", "filtered", "", 1, True),
    ]


def test_no_rejects():
    """Without rejects there is an empty table of the same columns."""
    assert Rejects().to_table().equals(REJECTS_SCHEMA.empty_table())


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("x" * 5000, "x" * 1000),
        ("x" * 980 + " http://user:secretword@host/", "x" * 980 + " http://***@host/"),
        ("caf\udce9", "caf?"),
        ("a\0b\n", "a\0b\n"),
    ],
)
def test_messages_from_outside(message, expected):
    """A message may quote anything: it is cut, and what cannot be encoded is replaced."""
    rejects = Rejects()
    rejects.add("a", "failed", message)
    assert rejects.to_table().column("message").to_pylist() == [expected]


def test_a_row_that_was_rejected_twice():
    """A row that was given up on twice is found."""
    rejects = Rejects()
    rejects.add("a", "x")
    assert rejects.twice() is None
    rejects.filter("a", "y")
    assert rejects.twice() == "a"
