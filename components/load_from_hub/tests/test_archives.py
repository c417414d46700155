"""Tar archives: all of their samples come out, or the step says that the archive is broken."""

import gzip
import io
import tarfile

import pytest

from fondant_spec.errors import InputDataError


@pytest.fixture
def tar(photo):
    """Return a function that makes an archive of images with given numbers."""

    def make(*numbers, end=True):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w") as archive:
            for number in numbers:
                entry = tarfile.TarInfo(f"{number}.jpg")
                entry.size = len(photo(number))
                archive.addfile(entry, io.BytesIO(photo(number)))
            length = archive.offset
        return file.getvalue() if end else file.getvalue()[:length]

    return make


def test_a_damaged_header_is_an_error(tmp_path, load, tar):
    """Flipped bits in any header but the first do not end the archive in silence."""
    content = bytearray(tar(0, 1, 2, 3))
    content[content.index(b"1.jpg")] ^= 0x55
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(InputDataError, match=r"a\.tar: cannot be read: it is damaged: bad check"):
        load(tmp_path / "a.tar")


@pytest.mark.parametrize("more", [b"", b"3.jpg" + bytes(200)])
def test_a_cut_archive_is_an_error(tmp_path, load, tar, more):
    """One that stops between two members, or in a header, lacks its end."""
    (tmp_path / "a.tar").write_bytes(tar(0, 1, end=False) + more)
    with pytest.raises(InputDataError, match=r"a\.tar: cannot be read: it is cut off; make"):
        load(tmp_path / "a.tar")


def test_an_appended_archive_is_an_error(tmp_path, load, tar):
    """What comes after the end is not passed over."""
    (tmp_path / "a.tar").write_bytes(tar(0, 1, 2, 3) + tar(4, 5))
    with pytest.raises(InputDataError, match=r"a\.tar: cannot be read: it goes on after its end"):
        load(tmp_path / "a.tar")


@pytest.mark.parametrize("padding", [0, 512, 1 << 21])
def test_zeros_after_the_end_are_nothing(tmp_path, load, tar, photo, padding):
    """Writers fill up the last blocks, some more than others."""
    (tmp_path / "a.tar").write_bytes(tar(0, 1, end=False) + bytes(512 + padding))
    assert load(tmp_path / "a.tar").table["image"].to_pylist() == [photo(0), photo(1)]


@pytest.mark.parametrize("name", ["a.tgz", "a.tar.gz", "A.TGZ"])
def test_a_packed_archive(tmp_path, load, tar, photo, name):
    """`.tgz` is `.tar.gz`: as a file, and in a folder."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / name).write_bytes(gzip.compress(tar(0, 1)))
    for dataset in (tmp_path / "d" / name, tmp_path / "d"):
        assert load(dataset).table["image"].to_pylist() == [photo(0), photo(1)]
