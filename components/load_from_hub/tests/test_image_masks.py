"""Masks of images: each goes to its own image, and no photo is taken for one in silence."""

import logging

import pytest

MASK = {"mask": "binary"}


@pytest.fixture
def masked(fill, load, photo):
    """Return a function that loads a folder, and gives the masks' files by those of images."""

    def run(*images, **files):
        names = {photo(100 + number, "PNG"): name for number, name in enumerate(files)}
        folder = fill(*images, **{name: content for content, name in names.items()})
        rows = load(folder, produces=MASK).table.to_pylist()
        return {row["file_name"]: names.get(row["mask"]) for row in rows}

    return run


def test_images_of_one_name_have_their_own_masks(masked):
    """By the whole path, not by the first folder and the name alone."""
    images = ["train/a/1.jpg", "train/b/1.jpg"]
    labels = ["train/a/1-masklabel.png", "train/b/1-masklabel.png"]
    expected = dict(zip(images, labels, strict=True))
    assert masked(*images, **dict.fromkeys(labels)) == expected


@pytest.mark.parametrize("mask", ["train/b/1-masklabel.png", "masks/train/b/1.png"])
def test_an_image_has_no_mask_of_another(masked, mask):
    """Nor is there one for an image without, since another of the same name has one."""
    rows = masked("train/a/1.jpg", "train/b/1.jpg", **{mask: None})
    assert rows == {"train/a/1.jpg": None, "train/b/1.jpg": mask}


def test_masks_in_a_folder_of_their_own(masked):
    """By the same paths, however deep, and below the folder itself."""
    images = ["1.jpg", "train/a/1.jpg", "train/b/1.jpg"]
    masks = ["masks/1.png", "masks/train/a/1.png", "masks/train/b/1.png"]
    assert masked(*images, **dict.fromkeys(masks)) == dict(zip(images, masks, strict=True))


def test_folders_of_repeats_are_no_part_of_a_path(masked):
    """As kohya has them, as long as only one image can be meant."""
    masks = ["masks/train/1.png", "masks/train/2.png", "masks/validation/1.png"]
    images = ["train/1_images/1.jpg", "train/4_images/2.jpg"]
    rows = masked(*images, "validation/1_images/1.jpg", **dict.fromkeys(masks))
    assert rows == dict(zip(images, masks, strict=False))


def test_a_mask_of_one_image_or_another_is_of_none(masked, caplog):
    """It is no row either, and named with the reason."""
    images = ["train/1_images/1.jpg", "train/4_images/1.jpg", "train/1_images/2.jpg"]
    masks = ["masks/train/1.png", "masks/train/2.png"]
    rows = masked(*images, **dict.fromkeys(masks))
    assert rows == dict.fromkeys(images) | {"train/1_images/2.jpg": "masks/train/2.png"}
    assert "left out, as masks of one image or another: masks/train/1.png" in caplog.text
    assert "left out, as no part of the dataset: 1 .png" in caplog.text


def test_a_label_is_no_row_whatever_it_is_of(masked, caplog):
    """One that is left over is named, with the reason; PNG, as the trainer has it, goes first."""
    labels = ["a-masklabel.jpg", "a-masklabel.png", "b-masklabel.png", "c/a-masklabel.png"]
    assert masked("a.jpg", **dict.fromkeys(labels)) == {"a.jpg": "a-masklabel.png"}
    assert "left out, as masks of images that have one already: a-masklabel.jpg\n" in caplog.text
    assert "as masks of no image: b-masklabel.png, c/a-masklabel.png\n" in caplog.text


def test_an_image_with_a_caption_is_no_mask_of_none(fill, load):
    """Its name alone does not make it one: it is a row with its caption."""
    folder = fill("photo-masklabel.jpg", **{"photo-masklabel.txt": "a label"})
    result = load(folder, produces={"text": "string"})
    assert result.table["text"].to_pylist() == ["a label"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("masks/001.txt", "a carnival mask"),
        ("masks/001.json", '{"text": "a carnival mask"}'),
        ("masks/metadata.jsonl", '{"file_name": "001.jpg", "text": "a carnival mask"}'),
    ],
)
def test_photos_of_masks_with_captions_are_rows(fill, load, caplog, name, content):
    """They are told of, as nobody tells of masks; and no photo has one for its mask."""
    folder = fill("001.jpg", "002.jpg", "masks/001.jpg", "masks/002.jpg", **{name: content})
    result = load(folder, produces={"text": "string"})
    texts = {row["file_name"]: row["text"] for row in result.table.to_pylist()}
    photos = ["001.jpg", "002.jpg", "masks/001.jpg", "masks/002.jpg"]
    assert texts == dict.fromkeys(photos) | {"masks/001.jpg": "a carnival mask"}
    assert "loaded as rows, no masks, since a caption or metadata tell of masks/001." in caplog.text


def test_photos_of_masks_that_pair_with_few_images_are_rows(fill, load, caplog):
    """A name in common may be chance."""
    photos = ["1.jpg", "masks/1.jpg", "masks/2.jpg", "masks/3.jpg"]
    assert load(fill(*photos)).table["file_name"].to_pylist() == photos
    assert "no masks, since 1 of 3 have the name of another image" in caplog.text


def test_how_many_images_are_masks_is_told(fill, load, caplog):
    """Also by a step that does not ask for them."""
    caplog.set_level(logging.INFO)
    assert len(load(fill("a.jpg", "b.jpg", "masks/a.png", "b-masklabel.png")).table) == 2
    assert "no rows, but masks of others: 2 images, such as b-masklabel.png" in caplog.text


def test_a_mask_whose_image_was_removed_is_no_row(masked, caplog):
    """Where most others have theirs; it is named."""
    masks = ["masks/1.png", "masks/2.png", "masks/3.png"]
    rows = masked("1.jpg", "2.jpg", **dict.fromkeys(masks))
    assert rows == {"1.jpg": "masks/1.png", "2.jpg": "masks/2.png"}
    assert "left out, as masks of no image: masks/3.png" in caplog.text
