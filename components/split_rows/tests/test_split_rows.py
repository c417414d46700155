"""Which rows are held out, through the component."""

import logging
from pathlib import Path

import pyarrow as pa
import pytest

from fondant_spec.errors import FondantError
from fondant_spec.testing import run_component
from image_toolkit.training.splits import drawn_split

COMPONENT = Path(__file__).parents[1]
FIELDS = ("group_id", "split", "class_prompt")
IMAGES = [f"image {number}".encode() for number in range(400)]


def split(tmp_path, **arguments):
    """Run the component; fields are those of the rows, the others its arguments."""
    fields = {name: arguments.pop(name) for name in FIELDS if name in arguments}
    images = arguments.pop("image", IMAGES)
    types = {"image": pa.binary()} | dict.fromkeys(fields, pa.string())
    table = pa.table({"image": images, **fields}, schema=pa.schema([*types.items()]))
    options = {"max_reject_share": "1"}
    return run_component(
        COMPONENT, table, tmp_path, options=options, rows_per_partition=150, **arguments
    )


def splits(result):
    """Return the column."""
    return result.table.column("split").to_pylist()


def test_images_are_drawn_by_their_content(tmp_path, caplog):
    """As export_dataset draws them; a tenth unless another share is asked for."""
    with caplog.at_level(logging.INFO):
        result = split(tmp_path / "a")
    found = splits(result)
    assert found == [drawn_split(image, None, 0.1) for image in IMAGES]
    held_out = found.count("validation")
    assert 20 < held_out < 60
    assert f"Rows by split: train {400 - held_out}, validation {held_out}." in caplog.text
    turned = splits(split(tmp_path / "b", image=IMAGES[::-1]))
    assert turned[::-1] == found
    more = splits(split(tmp_path / "c", validation_fraction=0.5))
    assert 150 < more.count("validation") < 250
    assert all(b == "validation" for a, b in zip(found, more, strict=True) if a == "validation")
    assert {*splits(split(tmp_path / "d", validation_fraction=0.0))} == {"train"}
    assert result.manifest.fields["split"].metadata == {"validation_fraction": 0.1}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, True),
        ({"validation_fraction": 0.0}, False),
        ({"split": ["validation", *[None] * 4]}, False),
        ({"class_prompt": ["a cat"] * 5}, False),
    ],
)
def test_where_no_row_is_held_out(tmp_path, caplog, arguments, told):
    """A share that was asked for and gave none is told, with what to do."""
    split(tmp_path, image=IMAGES[1:6], **arguments)
    expected = (
        "None of 5 rows is held out, though validation_fraction is 0.1: by that each is drawn for "
        "itself, so of few it may be none. Raise it, or choose some by a field 'split' that says "
        "'validation'."
    )
    assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == (
        [expected] if told else []
    )


def test_a_group_falls_on_one_side(tmp_path):
    """Rows without one are drawn by their image."""
    groups = [str(number // 4) if number < 200 else None for number in range(400)]
    found = splits(split(tmp_path, group_id=groups, validation_fraction=0.3))
    by_group = {}
    for group, side in zip(groups[:200], found[:200], strict=True):
        by_group.setdefault(group, set()).add(side)
    assert all(len(sides) == 1 for sides in by_group.values())
    assert {side for sides in by_group.values() for side in sides} == {"train", "validation"}
    assert found[200:] == [drawn_split(image, None, 0.3) for image in IMAGES[200:]]


def test_a_blank_group_is_none(tmp_path):
    """Images without a group are no group of all of them."""
    groups = ["", " ", "\u200b", None] * 100
    found = splits(split(tmp_path, group_id=groups, validation_fraction=0.3))
    assert found == [drawn_split(image, None, 0.3) for image in IMAGES]


@pytest.mark.parametrize("turned", [False, True])
def test_an_image_with_a_group_in_one_row_alone(tmp_path, turned):
    """It is on the side of its group, and so are groups that have an image in common."""
    groups = [f"group {number}" for number in range(200)]
    images = [*IMAGES[:200], *IMAGES[:200], *[IMAGES[n // 2 * 2] for n in range(200)]]
    named = [*groups, *[None] * 200, *[f"other {number}" for number in range(200)]]
    if turned:
        images, named = images[::-1], named[::-1]
    found = splits(split(tmp_path, image=images, group_id=named, validation_fraction=0.3))
    found = found[::-1] if turned else found
    assert found[:200] == found[200:400]
    assert all(found[400 + n] == found[n // 2 * 2] for n in range(200))
    assert found[1:200:2] == [drawn_split(b"", group, 0.3) for group in groups[1::2]]


def test_what_was_chosen_for_one_holds_for_all_that_it_belongs_with(tmp_path, caplog):
    """Unless somebody has chosen both, which is told."""
    image = [IMAGES[n] for n in (0, 0, 1, 2, 3, 4, 5)]
    groups = ["a", "", None, "b", "b", "c", "c"]
    chosen = ["validation", None, None, "train", "validation", "", "validation"]
    result = split(tmp_path, image=image, group_id=groups, split=chosen, validation_fraction=0.0)
    assert splits(result) == [
        *["validation", "validation", "train", "train", "validation"],
        *["validation", "validation"],
    ]
    assert "and some held out, as somebody has chosen: 1." in caplog.text


def test_what_somebody_chose_stays(tmp_path):
    """Null and empty are no choice; what is neither split is a reject."""
    chosen = ["validation", "train", None, "", "test"]
    result = split(tmp_path, image=IMAGES[:5], split=chosen, validation_fraction=0.0)
    assert splits(result) == ["validation", "train", "train", "train"]
    assert result.rejects["reason"].to_pylist() == ["unknown_split"]


def test_images_of_the_class_are_a_split_of_their_own(tmp_path):
    """They are neither trained on as the subject nor held out, whatever their group or choice."""
    result = split(
        tmp_path,
        image=[*IMAGES[:3], None],
        class_prompt=["a photo of a dog", "", "a photo of a dog", "a photo of a dog"],
        split=["validation", "validation", "regularization", None],
    )
    assert splits(result) == ["regularization", "validation", "regularization", "regularization"]


def test_rows_without_an_image(tmp_path):
    """Are rejects, unless there is something else to go by."""
    images, groups = [None, None, b"", b"x"], [None, "1", None, None]
    result = split(tmp_path, image=images, group_id=groups)
    assert [row["id"][-1] for row in result.table.to_pylist()] == ["1", "3"]
    assert result.rejects["reason"].to_pylist() == ["no_image"] * 2


def test_a_share_is_from_0_to_1(tmp_path):
    """Anything else is refused."""
    with pytest.raises(FondantError, match="validation_fraction"):
        split(tmp_path, validation_fraction=1.5)
