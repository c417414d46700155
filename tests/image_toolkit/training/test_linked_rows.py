"""Rows that belong together, directly or through others, in any order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_toolkit.training.linked_rows import LinkedRows, SplitSides, drawn_share
from image_toolkit.training.splits import drawn_split

ROWS = [
    {"image": b"1", "group_id": "a"},
    {"image": b"1", "group_id": None},
    {"image": b"2", "group_id": ""},
    {"image": b"2", "group_id": "b"},
    {"image": b"3", "group_id": "b"},
    {"image": b"3", "group_id": "c"},
    {"image": b"4", "group_id": " "},
    {"image": b"5"},
    {"image": None, "group_id": "a"},
]


@given(st.permutations(range(len(ROWS))))
def test_what_belongs_together(order):
    """One link stands for all of them, the same in any order."""
    rows = LinkedRows()
    links = {number: rows.add(ROWS[number]) for number in order}
    roots = [rows.root(links[number]) for number in range(len(ROWS))]
    assert roots[0] == roots[1] == roots[8]
    assert roots[2] == roots[3] == roots[4] == roots[5]
    assert len({*roots}) == 4
    first = LinkedRows()
    again = [first.add(row) for row in ROWS]
    assert roots == [first.root(link) for link in again]


@given(st.binary(min_size=1), st.text("abc", min_size=1), st.sampled_from([0.1, 0.5, 0.9]))
def test_lone_rows_are_drawn_as_ever(image, group, fraction):
    """By the name of their group, or else by their image."""
    for row in ({"image": image}, {"image": image, "group_id": group}):
        rows = LinkedRows()
        drawn = drawn_share(rows.root(rows.add(row))) < fraction
        expected = drawn_split(image, row.get("group_id"), fraction)
        assert drawn == (expected == "validation")


def test_groups_that_are_joined_are_held_out_no_more_often():
    """Which group stands for others has nothing to do with where it falls."""
    held_out = 0
    for number in range(2000):
        rows = LinkedRows()
        links = [rows.add({"image": b"x%d" % number, "group_id": f"{number} {n}"}) for n in (1, 2)]
        held_out += drawn_share(rows.root(links[0])) < 0.2
    assert held_out == pytest.approx(400, abs=80)


def test_rows_without_anything():
    """They are linked by nothing."""
    assert LinkedRows().add({"image": b"", "group_id": "\u200b"}) is None


def test_what_lies_on_both_sides():
    """A group, or an image, or what hangs together through others; once."""
    sides = SplitSides()
    for row, split in zip(
        ROWS,
        ["train", "train", "train", "train", "validation", "train", "train", "validation", "train"],
        strict=True,
    ):
        sides.add(row, split)
    sides.add(ROWS[0], "regularization")
    assert sides.torn() == 1
    sides.add({"image": b"4"}, "validation")
    assert sides.torn() == 2
