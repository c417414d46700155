"""Zip archives of images: the same captions as in a folder, and damage is that of one row."""

import zipfile

import pytest


@pytest.fixture
def folder(tmp_path, photo):
    """Return a function that makes a folder with a zip archive of images and other files."""

    def make(*names, **files):
        below = tmp_path / "photos"
        below.mkdir()
        with zipfile.ZipFile(below / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for number, name in enumerate(names):
                archive.writestr(name, photo(number))
            for name, content in files.items():
                archive.writestr(name, content)
        return below

    return make


@pytest.mark.parametrize("field", ["text", "caption"])
def test_captions_in_an_archive(folder, load, caplog, field):
    """They are those of a folder: by byte order mark, without the end of the last line."""
    texts = {
        "a.txt": b"\xef\xbb\xbfhello\r\n",
        "b.caption": "a dog\n",
        "./c.txt": "a cow",
        "d.txt": "a cat".encode("utf-16"),
        "e.TXT": "a hen",
        "e.caption": "another",
        "README.md": "# Photos",
        "lonely.txt": "of no image",
    }
    names = ("a.jpg", "b.jpg", "./c.jpg", "d.jpg", "e.jpg", "f.jpg_large")
    result = load(folder(*names, **texts), produces={field: "string"})
    found = dict(
        zip(result.table["file_name"].to_pylist(), result.table[field].to_pylist(), strict=True)
    )
    assert found == {
        "a.zip/a.jpg": "hello",
        "a.zip/b.jpg": "a dog",
        "a.zip/./c.jpg": "a cow",
        "a.zip/d.jpg": "a cat",
        "a.zip/e.jpg": "a hen",
        "a.zip/f.jpg_large": None,
    }
    assert len(result.rejects) == 0
    assert "a.zip: left out, as no part of the dataset: 1 .md, 1 hidden or beside no" in caplog.text


@pytest.mark.parametrize("damaged", ["b.jpg", "b.txt"])
def test_a_damaged_member_is_one_reject(folder, load, photo, damaged):
    """Deflated data that cannot be unpacked are the fault of their image alone."""
    below = folder("a.jpg", "b.jpg", "c.jpg", **{"b.txt": "a dog, a cat, a dog, a cat"})
    content = bytearray((below / "a.zip").read_bytes())
    start = content.index(damaged.encode()) + len(damaged)
    content[start] = 0xFF
    (below / "a.zip").write_bytes(content)
    result = load(below, produces={"text": "string"})
    assert result.table["image"].to_pylist() == [photo(0), photo(2)]
    assert result.rejects["reason"].to_pylist() == ["unreadable_file"]
    assert "a.zip/b.jpg: Error -3 while decompressing" in result.rejects["message"][0].as_py()


def test_texts_of_an_archive_without_any_are_null(folder, load):
    """A step may ask for them all the same."""
    result = load(folder("a.jpg"), produces={"text": "string"})
    assert result.table["text"].to_pylist() == [None]
