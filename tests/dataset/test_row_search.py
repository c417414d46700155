"""Finding the row that a user refers to."""

from pathlib import Path

import pytest

from fondant_spec.dataset.row_search import told_row
from fondant_spec.errors import InvalidArgumentError
from fondant_spec.testing import run_component
from image_toolkit.models.runtime.preparation import probe_images
from tests.small import dataset

LOADER = Path(__file__).parents[2] / "components" / "load_from_hub"
URLS = ["http://h/a/cat.jpg", "http://h/b/cat.jpg", "http://h/dog.jpg", None]


@pytest.fixture
def made(enter, tmp_path):
    """Return what a step made of rows with URLs, of which it gave up on the second."""
    source = dataset(tmp_path, 2, number=[0, 1, 2, 4], url=URLS)
    return enter("double", source, reject_odd=True)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("000000000002", ["double: 000000000002", "  double: 4  (factor 2)"]),
        (
            "images/000000000002.jpg",
            ["images/000000000002.jpg: named by the id 000000000002", "double: 000000000002"],
        ),
        ("http://h/dog.jpg", ["http://h/dog.jpg: url of row 000000000002", "double: 000000000002"]),
        (
            "cat.jpg",
            [
                "cat.jpg: url of 2 rows, 000000000000, 000000000001; the first is told",
                "double: 000000000000",
            ],
        ),
        (
            "http://h/b/cat.jpg",
            [
                "http://h/b/cat.jpg: url of row 000000000001",
                "double: given up: 000000000001  odd  3 attempts  1 is odd",
            ],
        ),
    ],
)
def test_a_row_by_what_it_is_called(made, name, told):
    """By its id, a file that is named by it, or its URL, also where a step gave up on it."""
    assert told_row(made, name).splitlines()[:2] == told


def test_a_row_of_an_earlier_dataset(enter, tmp_path):
    """A seed is found from what came of it, though its fields ended with it."""
    source = dataset(tmp_path, 2, number=[0, 1], word=["one.png", "two.png"])
    made = enter("repeat", source)
    assert told_row(made, "two.png").splitlines()[:2] == [
        "two.png: word of row 000000000001",
        "given: 000000000001",
    ]


@pytest.mark.parametrize("name", ["a/garbage.jpg", "garbage.jpg"])
def test_what_a_load_gave_up_on(tmp_path, name):
    """A file that never became a row is found by its name, also from a later dataset."""
    photos = tmp_path / "photos" / "a"
    photos.mkdir(parents=True)
    (photos / "garbage.jpg").write_bytes(b"garbage")
    probe_images(1)[0].save(photos / "good.jpg")
    loaded = run_component(LOADER, None, tmp_path, dataset_name=str(photos.parent)).manifest
    which, ended = told_row(loaded, name).splitlines()
    assert which == f"{name}: the reject of row 000000000000"
    assert ended.startswith(
        "load_from_hub: given up: 000000000000  not_an_image  a/garbage.jpg: not a JPEG, PNG, "
    )
    with pytest.raises(InvalidArgumentError, match=r"there is no row 'age\.jpg'"):
        told_row(loaded, "age.jpg")


def test_no_such_row(made):
    """What was looked for is said."""
    with pytest.raises(InvalidArgumentError, match="no row 'bird', and none whose file name, URL"):
        told_row(made, "bird")
