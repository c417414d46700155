"""Replaying edits, run through the component's argument vector."""

from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pytest

from fondant_spec.errors import InputDataError
from fondant_spec.testing import run_component
from image_toolkit.edits.edit import Edit
from image_toolkit.edits.journal import Journal

COMPONENT = Path(__file__).parents[1]


def edit(image, field, value, *, name=None, after=(), beneath=None, at="1"):
    """Return an edit of an image."""
    return Edit(
        name or f"{image}-{field}-{at}", at, "anna", image, field, value, tuple(after), beneath
    )


def replay(tmp_path, table, *edits, rows_per_partition=2, **arguments):
    """Run the component over a table and some edits; return its rows by id, and the rejects."""
    Journal(str(tmp_path / "edits")).add(edits)
    result = run_component(
        COMPONENT,
        table,
        tmp_path,
        rows_per_partition=rows_per_partition,
        edits=str(tmp_path / "edits"),
        **arguments,
    )
    return {row["id"][-1]: row for row in result.table.to_pylist()}, result


def test_what_people_said_is_done(tmp_path):
    """Captions, tags, weights and splits are as edited, and what was dropped is left out."""
    table = pa.table(
        {
            "sha256": ["a", "b", "c", "d"],
            "caption": ["one", "two", "three", "four"],
            "tags": [["x", "y"], ["x"], None, ["z"]],
            "tag_weights": pa.array([[2.0, 1.5], [1.0], None, [1.0]], pa.list_(pa.float32())),
        }
    )
    rows, result = replay(
        tmp_path,
        table,
        edit("a", "caption", "ONE", beneath="one"),
        edit("a", "tag:x", value=False),
        edit("a", "tag:new", value=True),
        edit("b", "dropped", value=True),
        edit("c", "split", "validation"),
        edit("gone", "caption", "of an image that is not here"),
    )
    assert [rows[i]["caption"] for i in "023"] == ["ONE", "three", "four"]
    assert [rows[i]["written_caption"] for i in "023"] == ["one", "three", "four"]
    assert rows["0"]["tags"] == ["y", "new"]
    assert rows["0"]["tag_weights"] == [1.5, 1.0]
    assert rows["3"]["tags"] == ["z"]
    assert [rows[i]["split"] for i in "023"] == [None, "validation", None]
    assert [rows[i]["edit_state"] for i in "023"] == ["applied", "applied", None]
    (left_out,) = result.rejects.to_pylist()
    assert (left_out["id"][-1], left_out["reason"], left_out["filtered"]) == ("1", "dropped", True)
    assert left_out["message"] == "by anna, 1"


@pytest.mark.parametrize(("when", "caption"), [("apply", "mine"), ("leave", "of a new model")])
def test_a_caption_that_changed_beneath_is_told(tmp_path, caplog, when, caption):
    """An edit over another caption than there is now is named, and its word stands unless told."""
    table = pa.table({"sha256": ["a", "b"], "caption": ["of a new model", "mine"]})
    rows, _ = replay(
        tmp_path,
        table,
        edit("a", "caption", "mine", beneath="of an old model"),
        edit("b", "caption", "mine", beneath="of an old model"),
        when_changed=when,
    )
    assert rows["0"]["caption"] == caption
    assert rows["0"]["edit_state"] == "changed_beneath"
    assert "row 000000000000: anna edited another caption than it has now" in caplog.text
    assert rows["1"]["caption"] == "mine"
    assert rows["1"]["edit_state"] is None


def test_where_people_disagree_the_first_stands(tmp_path):
    """Two edits that did not see each other are told as a conflict, and the first one holds."""
    rows, _ = replay(
        tmp_path,
        pa.table({"sha256": ["a"], "caption": ["old"]}),
        edit("a", "caption", "second", name="2", beneath="old", at="2"),
        edit("a", "caption", "first", name="1", beneath="old", at="1"),
    )
    assert (rows["0"]["caption"], rows["0"]["edit_state"]) == ("first", "conflict")


def test_what_was_undone_changes_nothing(tmp_path):
    """A cell that was given back to the steps holds what they wrote."""
    rows, result = replay(
        tmp_path,
        pa.table({"sha256": ["a"], "caption": ["old"], "tags": [["x"]]}),
        edit("a", "caption", "new", name="1", beneath="old"),
        edit("a", "caption", None, name="2", after=["1"], at="2"),
        edit("a", "dropped", value=True, name="3"),
        edit("a", "dropped", value=False, name="4", after=["3"], at="2"),
        edit("a", "tag:x", value=False, name="5"),
        edit("a", "tag:x", None, name="6", after=["5"], at="2"),
    )
    assert (rows["0"]["caption"], rows["0"]["tags"]) == ("old", ["x"])
    assert rows["0"]["edit_state"] is None
    assert len(result.rejects) == 0


def test_images_are_told_by_their_bytes(tmp_path):
    """Rows without `sha256` are known by the hash of the image; one without either by nothing."""
    images = [b"first", b"second", None]
    edits = [edit(sha256(data).hexdigest(), "caption", data.decode()) for data in images[:2]]
    table = pa.table({"image": pa.array(images, pa.binary()), "caption": ["", "", "kept"]})
    rows, _ = replay(tmp_path, table, *edits)
    assert [rows[i]["caption"] for i in "012"] == ["first", "second", "kept"]


def test_what_cannot_be_replayed(tmp_path):
    """A folder without edits, and rows that edits cannot name, are errors and not passed over."""
    table = pa.table({"sha256": ["a"], "caption": ["old"]})
    with pytest.raises(InputDataError, match=r"edits holds no edits; leave the step out"):
        run_component(COMPONENT, table, tmp_path, edits=str(tmp_path / "edits"))
    with pytest.raises(InputDataError, match="neither `sha256` nor `image`"):
        replay(tmp_path, table.drop_columns("sha256"), edit("a", "caption", "new"))


def test_rows_of_one_image_have_captions_of_their_own(tmp_path):
    """An edit of one text is of rows with that text; one of the image is of those without."""
    table = pa.table(
        {"sha256": ["a"] * 4, "caption": ["a red car", "the car of my aunt", "a red car", None]}
    )
    edits = [
        Edit("1", "1", "anna", "a", "caption", "a red auto", (), "a red car", of_text=True),
        Edit("2", "1", "anna", "a", "caption", "none", (), None, of_text=True),
    ]
    rows, _ = replay(tmp_path, table, *edits)
    assert [rows[i]["caption"] for i in "0123"] == [
        "a red auto",
        "the car of my aunt",
        "a red auto",
        "none",
    ]
    states = [rows[i]["edit_state"] for i in "0123"]
    assert states == ["applied", None, "applied", "applied"]
    undone = Edit("3", "2", "anna", "a", "caption", None, ("1",), "a red car", of_text=True)
    whole = edit("a", "caption", "ours", beneath="the car of my aunt", at="3")
    rows, _ = replay(tmp_path / "later", table, *edits, undone, whole, when_changed="leave")
    assert [rows[i]["caption"] for i in "0123"] == ["a red car", "ours", "a red car", "none"]


def test_an_edit_of_a_caption_that_is_gone_is_told(tmp_path, caplog):
    """It waits; the rows of its image say so, but those with an edit of their own."""
    table = pa.table(
        {
            "sha256": ["a", "a", "b", "b"],
            "caption": ["a scarlet car", "the aunt's", "a cat", "my cat"],
        }
    )
    edits = [
        Edit("1", "1", "anna", "a", "caption", "a red auto", (), "a red car", of_text=True),
        Edit("2", "1", "anna", "a", "caption", "my aunt's", (), "the aunt's", of_text=True),
        Edit("3", "1", "anna", "b", "caption", "our cat", (), "my cat", of_text=True),
    ]
    rows, _ = replay(tmp_path, table, *edits)
    assert [rows[i]["caption"] for i in "0123"] == [
        "a scarlet car",
        "my aunt's",
        "a cat",
        "our cat",
    ]
    states = [rows[i]["edit_state"] for i in "0123"]
    assert states == ["changed_beneath", "applied", None, "applied"]
    (told,) = [one.message for one in caplog.records if one.levelname == "WARNING"]
    assert told == (
        "row 000000000000: anna edited a caption of its image that no row has now ('a red car'); "
        "the edit waits for it"
    )
