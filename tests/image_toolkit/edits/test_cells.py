"""The result of edits, independent of the order in which they are read."""

from itertools import permutations

import pytest

from fondant_spec.errors import InvalidArgumentError
from image_toolkit.edits.cells import by_image, cells_of, tags_of, with_tags
from image_toolkit.edits.edit import Edit, check_value


def edit(name, value, after=(), at="1", field="caption", image="i"):
    """Return an edit that is called by its name."""
    return Edit(name, at, "anna", image, field, value, tuple(after))


def cell(*edits):
    """Return the one cell that these edits are of."""
    (found,) = cells_of(edits).values()
    return found


def test_the_later_edit_holds():
    """An edit takes the place of those it was made after, whatever the order or the clocks say."""
    edits = [edit("a", "one", at="9"), edit("b", "two", ["a"], "5"), edit("c", "three", ["b"], "1")]
    for some in permutations(edits):
        assert cell(*some).value == "three"
        assert cell(*some).rivals == ()


def test_edits_that_did_not_see_each_other_are_a_conflict():
    """The first stands, the later one is shown, and one more edit over both settles it."""
    edits = [edit("a", "one", at="1"), edit("b", "two", ["a"], "2"), edit("c", "three", ["a"], "3")]
    for some in permutations(edits):
        found = cell(*some)
        assert found.value == "two"
        assert [rival.value for rival in found.rivals] == ["three"]
        assert cell(*some, edit("d", "three", found.ids, "4")).rivals == ()
        assert cell(*some, edit("d", "three", found.ids, "4")).value == "three"


def test_saying_the_same_is_no_conflict():
    """Two people who write the same do not disagree."""
    assert cell(edit("a", "same", at="1"), edit("b", "same", at="2")).rivals == ()


def test_edits_that_name_each_other_count_all():
    """A circle, which nobody writes honestly, loses nothing."""
    found = cell(edit("a", "one", ["b"], "1"), edit("b", "two", ["a"], "2"))
    assert found.value == "one"
    assert len(found.rivals) == 1


def test_tags_are_cells_of_their_own():
    """People who add or remove different tags do not get into each other's way."""
    edits = [
        edit("a", value=True, field="tag:red"),
        edit("b", value=False, field="tag:blue"),
        edit("c", None, field="tag:green"),
        edit("d", value=True, field="tag:big", image="other"),
    ]
    cells = by_image(cells_of(edits))
    assert tags_of(cells["i"]) == (["red"], ["blue"])
    assert with_tags(["blue", "sea", "green"], cells["i"]) == ["sea", "green", "red"]


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("caption", " \n", "must not be blank"),
        ("caption", "x" * 20_001, "20,000 characters at most, not 20,001"),
        ("caption", "\ud800", "must be a text"),
        ("caption", True, "must be a text"),
        ("split", "test", "train or validation"),
        ("dropped", "yes", "true or false"),
        ("tag:", True, "no field 'tag:'"),
        ("tag: a", True, "no field"),
        ("tag:a,b", True, "no field"),
        ("tag:a\n", True, "no field"),
        ("id", None, "no field 'id'"),
    ],
)
def test_what_no_cell_can_hold(field, value, why):
    """It is refused, with the reason."""
    with pytest.raises(InvalidArgumentError, match=why):
        check_value(field, value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("caption", "x" * 20_000), ("split", "train"), ("tag:a b", True), ("caption", None)],
)
def test_what_a_cell_can_hold(field, value):
    """It is taken."""
    check_value(field, value)
