"""The base path: a local folder, or any fsspec URL."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fondant_spec.dataset import storage
from fondant_spec.dataset.base_path import check_writable
from fondant_spec.errors import StorageError


@pytest.fixture(params=["", "local://", "memory://"])
def base(request, tmp_path):
    """Return a base path, local or a URL: `local://` goes the way of an object store on disk."""
    return f"{request.param}{tmp_path}"


def test_files_and_folders(base):
    """Files are written, listed, hashed and removed alike on every kind of storage."""
    storage.write_text(f"{base}/a/b/x.txt", "žluť")
    storage.write_text(f"{base}/a/y.txt", "2")
    assert storage.read_text(f"{base}/a/b/x.txt") == "žluť"
    assert storage.sizes(f"{base}/a") == {"y.txt": 1}
    assert storage.folders(f"{base}/a") == ["b"]
    assert storage.sha256_of(f"{base}/a/y.txt") == hashlib.sha256(b"2").hexdigest()
    assert storage.exists(f"{base}/a/b/x.txt")
    storage.remove(f"{base}/a")
    storage.remove(f"{base}/a")
    assert not storage.exists(f"{base}/a/b/x.txt")
    assert (storage.sizes(f"{base}/a"), storage.folders(f"{base}/a")) == ({}, [])


@pytest.mark.parametrize("scheme", ["", "local://"])
def test_a_file_appears_whole_or_not_at_all(tmp_path, scheme):
    """A writer that fails leaves what was there before, and nothing else."""
    url = f"{scheme}{tmp_path}/x.txt"
    storage.write_text(url, "before")

    def fail() -> None:
        with storage.atomic_writer(url) as file:
            file.write(b"half of it")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert storage.read_text(url) == "before"
    assert [file.name for file in tmp_path.iterdir()] == ["x.txt"]


def test_what_is_written_is_hashed(tmp_path):
    """Bytes are counted and hashed as they pass, buffers of any item size too."""
    with storage.atomic_writer(f"{tmp_path}/x") as file:
        file.write(b"ab")
        file.write(memoryview(b"cdef").cast("H"))
        assert (file.tell(), file.sha256) == (6, hashlib.sha256(b"abcdef").hexdigest())
    assert (tmp_path / "x").read_bytes() == b"abcdef"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("/a/b/", "/a/b"),
        ("file:///a/b", "/a/b"),
        ("s3://bucket/x/", "s3://bucket/x"),
        ("~/x", str(Path.home() / "x")),
        ("x", str(Path.cwd() / "x")),
    ],
)
def test_one_form_of_a_path(given, expected):
    """A base path is written in one form, so that equal places have equal names."""
    assert storage.normalize(given) == expected


def test_an_unknown_protocol():
    """A protocol that fsspec does not know, or has no package for, is an error with its reason."""
    with pytest.raises(StorageError, match=r"^nope://x: cannot open this kind of storage: "):
        storage.exists("nope://x")


@pytest.mark.parametrize("place", ["file/below", "/proc/nothing/here"])
def test_a_base_path_that_cannot_be_written(tmp_path, place):
    """A base path below a file, or where nothing can be made, is refused before any work."""
    (tmp_path / "file").touch()
    base = str(tmp_path / place)
    with pytest.raises(StorageError) as caught:
        check_writable(base)
    message = str(caught.value)
    assert message.startswith(f"BASE_PATH {base} is not writable (")
    assert message.endswith(
        "; choose another one, or give the user that runs the step write access."
    )


def test_a_base_path_is_made(tmp_path):
    """A folder that is not there yet is made, and the check leaves nothing in it."""
    check_writable(f"{tmp_path}/a/b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_what_cannot_be_read(tmp_path):
    """A text that is missing, or not text, is an error with its path."""
    (tmp_path / "x").write_bytes(b"\xff")
    for name in ("x", "none"):
        with pytest.raises(StorageError, match=f"^{tmp_path}/{name}: cannot be read"):
            storage.read_text(f"{tmp_path}/{name}")


def test_removing_side_by_side(tmp_path):
    """Several may remove the same folder at once."""
    for _ in range(50):
        (tmp_path / "folder" / "deep").mkdir(parents=True)
        (tmp_path / "folder" / "file").touch()
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(storage.remove, [str(tmp_path / "folder")] * 4))
        assert not (tmp_path / "folder").exists()
