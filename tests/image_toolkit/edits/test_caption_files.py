"""Captions as text files that people correct: corrections are picked up, and never overwritten."""

import json
import unicodedata
from hashlib import sha256
from pathlib import Path

import pytest

from fondant_spec.errors import FondantError, InvalidDatasetError
from image_toolkit.edits.caption_file_names import text_names
from image_toolkit.edits.caption_files import Written, write_texts
from image_toolkit.edits.cells import cells_of
from image_toolkit.edits.corrected_captions import take_over
from image_toolkit.edits.journal import Journal

CAPTIONS = {"a.jpg.txt": Written("aa", "a cat"), "x/b.png.txt": Written("bb", "two\nlines ")}


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A journal without edits."""
    return Journal(str(tmp_path / "edits"))


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A folder with two captions."""
    assert write_texts(tmp_path / "texts", CAPTIONS) == []
    return tmp_path / "texts"


def held(journal: Journal) -> dict[str, object]:
    """Return what the captions of images are by the edits."""
    return {image: cell.value for (image, _), cell in cells_of(journal.edits()).items()}


def test_what_nobody_changed_is_no_edit(texts, journal):
    """Texts come back as the captions that they were."""
    assert (texts / "x" / "b.png.txt").read_bytes() == b"two\nlines \n"
    assert take_over(texts, journal, "ann") == []
    assert journal.edits() == []


@pytest.mark.parametrize(
    ("content", "caption"),
    [
        (b"a dog\n", "a dog"),
        (b"a dog", "a dog"),
        ("\ufeffein Hündchen\r\n".encode(), "ein Hündchen"),
        (b"a dog\r\non a mat\r\n", "a dog\non a mat"),
        ("猫".encode("utf-16"), "猫"),
    ],
)
def test_a_changed_text_is_taken_over_once(texts, journal, content, caption):
    """Whatever editor saved it, the words become an edit, over what was there before."""
    (texts / "a.jpg.txt").write_bytes(content)
    assert take_over(texts, journal, "ann") == ["a.jpg.txt"]
    (edit,) = journal.edits()
    assert (edit.image, edit.field, edit.value) == ("aa", "caption", caption)
    assert (edit.by, edit.beneath) == ("ann", "a cat")
    assert take_over(texts, journal, "ann") == []


def test_a_second_change_takes_the_place_of_the_first(texts, journal):
    """The last words stand, and what the model said is still known."""
    for words in ("one", "two"):
        (texts / "a.jpg.txt").write_text(words)
        take_over(texts, journal, "ann")
        write_texts(texts, {**CAPTIONS, "a.jpg.txt": Written("aa", words)})
    assert held(journal) == {"aa": "two"}
    assert {edit.beneath for edit in journal.edits()} == {"a cat"}


def test_a_new_caption_beneath_is_what_was_corrected(texts, journal):
    """Words over a caption that the steps wrote anew are no older than it, and stay."""
    (texts / "a.jpg.txt").write_text("mine")
    take_over(texts, journal, "ann")
    for shown in ("a new cat", "mine"):  # as it is shown with when_changed=leave, and without
        write_texts(texts, {"a.jpg.txt": Written("aa", shown, "a new cat")})
        (texts / "a.jpg.txt").write_text(f"not {shown}")
        assert take_over(texts, journal, "ann") == ["a.jpg.txt"]
        (cell,) = cells_of(journal.edits()).values()
        assert (cell.value, cell.edit.beneath) == (f"not {shown}", "a new cat")
    assert write_texts(texts, {"a.jpg.txt": Written("aa", "not mine", "a new cat")}) == []
    assert (texts / "a.jpg.txt").read_text() == "not mine\n"


def test_images_with_several_texts(tmp_path, journal):
    """Texts of one image are corrected each by itself, also a second time."""
    folder = tmp_path / "texts"
    written = {"a.txt": Written("aa", "a car", "a car"), "b.txt": Written("aa", "my car", "my car")}
    write_texts(folder, written)
    for number in "12":
        for name in written:
            (folder / name).write_text(f"{name} {number}")
        assert take_over(folder, journal, "ann") == ["a.txt", "b.txt"]
    cells = cells_of(journal.edits())
    assert {cell.edit.beneath: cell.value for cell in cells.values()} == {
        "a car": "a.txt 2",
        "my car": "b.txt 2",
    }
    assert all(len(cell.heads) == 1 for cell in cells.values())


def test_ends_of_lines_are_no_correction(texts, journal):
    """A caption may come with carriage returns, as cells of a CSV do; nobody has changed it."""
    write_texts(texts, {"a.txt": Written("aa", "one\r\ntwo\r\n")})
    assert take_over(texts, journal, "ann") == []
    assert write_texts(texts, {"a.txt": Written("aa", "new")}) == []
    assert (texts / "a.txt").read_text() == "new\n"


def test_texts_of_one_image_that_disagree(texts, journal):
    """Which of two corrections stands is for a person to say; equal ones are one."""
    write_texts(texts, {name: Written("aa", "a cat") for name in ("a.txt", "b.txt")})
    (texts / "a.txt").write_text("my cat")
    (texts / "b.txt").write_text("your cat")
    with pytest.raises(InvalidDatasetError) as caught:
        take_over(texts, journal, "ann")
    assert str(caught.value) == (
        f"{texts}/a.txt and b.txt: are texts of one and the same image, and were changed to "
        "different ones; have both say the same."
    )
    assert journal.edits() == []
    (texts / "b.txt").write_text("my cat")
    assert take_over(texts, journal, "ann") == ["a.txt", "b.txt"]
    assert held(journal) == {"aa": "my cat"}


def test_a_list_of_an_older_version_is_read(texts, journal):
    """It does not say what the steps had written; then that is what was shown."""
    listing = texts / ".written.json"
    content = json.loads(listing.read_text())
    listing.write_text(
        json.dumps({n: {"image": w["image"], "caption": w["caption"]} for n, w in content.items()})
    )
    (texts / "a.jpg.txt").write_text("mine")
    take_over(texts, journal, "ann")
    assert [edit.beneath for edit in journal.edits()] == ["a cat"]


def test_what_was_changed_meanwhile_stays(texts, journal):
    """New captions do not overwrite words that were not taken over yet, nor remove them."""
    (texts / "a.jpg.txt").write_text("my words")
    assert write_texts(texts, {"a.jpg.txt": Written("aa", "another cat")}) == ["a.jpg.txt"]
    assert (texts / "a.jpg.txt").read_text() == "my words"
    assert not (texts / "x" / "b.png.txt").exists()
    take_over(texts, journal, "ann")
    assert held(journal) == {"aa": "my words"}


def test_a_text_that_is_gone_comes_back(texts, journal):
    """A removed text says nothing, and is written again."""
    (texts / "a.jpg.txt").unlink()
    assert take_over(texts, journal, "ann") == []
    write_texts(texts, CAPTIONS)
    assert (texts / "a.jpg.txt").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jpg.txt", b" \n", "a.jpg.txt: is blank; write a caption, or remove the image"),
        ("a.jpg.txt", b"caf\xe9", "a.jpg.txt: is no text in UTF-8"),
        ("b.png.txt", b"x", "b.png.txt: is the text of no image; change the texts that were"),
        ("a.jpg.txt", b"x" * 20_001, "a caption has 20,000 characters at most, not 20,001"),
    ],
)
def test_what_is_no_caption_is_told(texts, journal, name, content, message):
    """Nothing is lost silently: the file is named, and nothing is taken over."""
    (texts / name).write_bytes(content)
    with pytest.raises(FondantError, match=message.replace("(", r"\(")):
        take_over(texts, journal, "ann")
    assert journal.edits() == []


def test_a_broken_list_is_told(texts, journal):
    """Without the list nothing can be told from what was written."""
    (texts / ".written.json").write_text("{")
    with pytest.raises(InvalidDatasetError, match="does not list what was written"):
        take_over(texts, journal, "ann")


def test_names_of_texts():
    """A text is called by its image, in its folders; by the id, where that is no safe name."""
    names = ["a.jpg", "x/ü b.png", "A.jpg", None, "../c.jpg", "/d.jpg", "e\n.jpg", "x" * 300]
    names += ["./f.jpg", "y//g.jpg"]
    expected = ["a.jpg", "x/ü b.png", "2", "3", "4", "5", "6", "7", "f.jpg", "y/g.jpg"]
    found = list(text_names((name, str(number)) for number, name in enumerate(names)))
    assert found == [f"{name}.txt" for name in expected]


@pytest.mark.parametrize(
    "row_id", ["../victim", "/abs/x", "a/../../b", "c\\d", "e\0", "", ".", "x" * 300]
)
def test_an_id_that_is_no_file_is_hashed(row_id):
    """No text is written outside the folder, whatever an id says."""
    (name,) = text_names([(None, row_id)])
    assert name == f"{sha256(row_id.encode()).hexdigest()[:32]}.txt"


@pytest.mark.parametrize(
    "rows",
    [
        [("b", "a"), ("b", "b2"), ("B2", "c"), ("b", "b2")],
        [(None, "a"), ("x", "A"), ("x", "a")],
        [("\u00e9.jpg", "1"), ("e\u0301.jpg", "2"), ("E\u0301.JPG", "3")],
        [("x/a.jpg", "1"), ("x//a.jpg", "2"), ("./x/a.jpg", "3")],
    ],
)
def test_no_two_texts_are_one_file(rows):
    """Names that a file system takes for one are told apart, also from ids."""
    names = [unicodedata.normalize("NFC", str(Path(name)).casefold()) for name in text_names(rows)]
    assert len(set(names)) == len(rows)


def test_an_id_that_a_name_has_is_numbered():
    """The first has it as it is."""
    assert list(text_names([("1", "a"), (None, "1"), (None, "1")])) == [
        "1.txt",
        "1-2.txt",
        "1-3.txt",
    ]
