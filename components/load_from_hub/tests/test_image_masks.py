"""Masks of images: each goes to its own image, and no photo is taken for one in silence."""

import io
import logging

import pytest
from PIL import Image

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


def grey(mode):
    """Return a PNG with one channel, or with few colours."""
    file = io.BytesIO()
    Image.new(mode, (16, 12)).save(file, "PNG")
    return file.getvalue()


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
    """A name in common may be chance; only one by the whole path is taken for none."""
    photos = ["a/1/1.jpg", "masks/a/1.jpg", "masks/a/2.jpg", "masks/a/3.jpg"]
    assert load(fill(*photos)).table["file_name"].to_pylist() == photos
    assert "no masks, since 1 of 3 have the name of another image" in caplog.text


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA"])
def test_masks_of_one_path_stay_where_most_others_are_of_no_image(fill, load, caplog, mode):
    """As where images were replaced, and the masks of the old ones stayed: these are no rows."""
    images = [f"a/{number}.jpg" for number in (1, 2, 3, 4)]
    masks = {f"masks/a/{number}.png": grey(mode) for number in (1, 2, 8, 9)}
    rows = load(fill(*images, **masks), produces=MASK).table.to_pylist()
    assert [row["file_name"] for row in rows] == images
    assert [row["mask"] is not None for row in rows] == [True, True, False, False]
    assert "left out, as masks of no image: masks/a/8.png, masks/a/9.png" in caplog.text


def test_photos_beside_masks_of_one_path_are_rows(masked, caplog):
    """What does not look like a mask is none; the pairs stay."""
    files = ["masks/1.png", "masks/2.png", "masks/8.png", "masks/9.png"]
    rows = masked("1.jpg", "2.jpg", **dict.fromkeys(files))
    expected = {"1.jpg": files[0], "2.jpg": files[1]} | dict.fromkeys(files[2:])
    assert rows == expected
    assert "2 images in masks/, such as masks/8.png, are loaded as rows, no masks" in caplog.text
    assert "2 of 4 have the name of another image, and these are no grey PNG" in caplog.text


def test_grey_photos_that_something_tells_of_are_rows(fill, load):
    """A caption beside one says more than its colours."""
    files = {f"masks/{number}.png": grey("L") for number in (1, 8, 9)}
    folder = fill("1.jpg", **files, **{"masks/8.txt": "a carnival mask"})
    assert len(load(folder).table) == 4


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
