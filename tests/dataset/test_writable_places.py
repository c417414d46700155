"""Places where files cannot be written, detected before any work."""

from pathlib import Path

import pytest

from fondant_spec.dataset.writable_places import why_no_file, why_no_folder

ELSEWHERE = "memory://bucket/x"


@pytest.fixture
def place(tmp_path):
    """A folder with a file, a folder, and a link to nowhere."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    return tmp_path


@pytest.mark.parametrize("name", ["folder", "new", "folder/new/and/deeper"])
def test_a_place_to_write_to(place, name):
    """Folders that are not there yet are none the worse, and nothing is left behind."""
    assert why_no_folder(str(place / name)) == ""
    assert why_no_file(str(place / name / "file")) == ""
    assert {file.name for file in place.rglob("*")} == {"file", "folder", "link"}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("file", "{}/file is no folder"),
        ("file/below", "{}/file is no folder"),
        ("link/below", "{}/link is no folder"),
    ],
)
def test_a_place_that_is_none(place, name, why):
    """What is in the way is named."""
    assert why_no_folder(str(place / name)) == why.format(place)
    assert why_no_file(str(place / name / "file")) == why.format(place)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc")
def test_a_place_that_takes_no_files():
    """The system is asked: rights alone do not tell."""
    assert why_no_folder("/proc/new").startswith("/proc cannot be written (")


def test_a_file_in_the_place_of_a_folder(place):
    """It is said; a file that is there may be written anew."""
    assert why_no_file(str(place / "folder")) == f"{place}/folder is a folder"
    assert why_no_file(str(place / "file")) == ""


def test_places_elsewhere_are_not_asked():
    """They are told of when they are written to."""
    assert (why_no_folder(ELSEWHERE), why_no_file(ELSEWHERE)) == ("", "")
