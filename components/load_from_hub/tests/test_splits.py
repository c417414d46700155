"""Splits of folders: no row is in two of them, and none is called left out that is loaded."""

import pytest

from fondant_spec.errors import InputDataError

TEXT = {"text": "string"}


@pytest.mark.parametrize("other", ["photos/a.jpg", "val/a.jpg", "a.jpg"])
def test_without_a_folder_for_training_there_is_one_split(fill, load, caplog, other):
    """All images are for training then, so `test` is a folder like any other."""
    caplog.set_level("INFO")
    folder = fill(other, "test/a.jpg")
    assert load(folder).table["file_name"].to_pylist() == sorted([other, "test/a.jpg"])
    assert "loads the split" not in caplog.text
    with pytest.raises(InputDataError, match=r"there is no split 'test'\. Splits: train \("):
        load(folder, split="test")


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("val/train_x.csv", "validation"),
        ("data/val/train_x.csv", "validation"),
        ("val/data/train-00000-of-00001.csv", "validation"),
        ("data/test-00000-of-00001.csv", "test"),
        ("cats/train_val.csv", "validation"),
        ("test_photos/cats.csv", "test"),
    ],
)
def test_the_word_of_a_folder_comes_before_that_of_a_file(fill, load, path, split):
    """A file of rows belongs to the split that its folder is named for, or else its name."""
    folder = fill(**{path: "text\nthis\n", "z/train.csv": "text\nother\n"})
    found = load(folder, image_column="", produces=TEXT, split=split)
    assert found.table["text"].to_pylist() == ["this"]
    found = load(folder, image_column="", produces=TEXT)
    assert found.table["text"].to_pylist() == ["other"]
