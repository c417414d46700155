"""Reading and writing under the base path, which is a local folder or any fsspec URL."""

import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

import fsspec

from fondant_spec.errors import StorageError

_LOCAL: Final = ("file://", "/", "./", "../", "~")


def is_remote(url: str) -> bool:
    """Return whether a path is a URL of an object store rather than a local path.

    A local path may have any characters, `://` and `::` among them, where it begins as one.
    """
    return "://" in url and not url.startswith(_LOCAL)


def normalize(url: str | Path) -> str:
    """Return a base path in the one form used in manifests and keys.

    A local path becomes absolute, without `file://`; a URL loses a trailing slash.

    Raises:
        StorageError: it has bytes that are no text, which manifests cannot hold.
    """
    text = str(url)
    try:
        text.encode()
    except UnicodeEncodeError:
        msg = f"{text!r}: has bytes that are no UTF-8; rename the folder."
        raise StorageError(msg) from None
    if is_remote(text):
        return text.rstrip("/")
    return str(Path(text.removeprefix("file://")).expanduser().absolute())


def join(base: str, *parts: str) -> str:
    """Return a path below `base`."""
    return "/".join([base.rstrip("/"), *parts])


def parent(url: str) -> str:
    """Return the folder that holds a file."""
    return url.rpartition("/")[0]


def filesystem(url: str) -> tuple[Any, str]:
    """Return the fsspec file system of a URL, and the path inside it.

    A local path is taken literally: fsspec would see URLs in some.

    Raises:
        StorageError: the protocol is unknown, or its package is not installed.
    """
    if not is_remote(url):
        return fsspec.filesystem("file"), url.removeprefix("file://")
    try:
        return fsspec.core.url_to_fs(url)  # type: ignore[no-any-return]
    except (ImportError, ValueError) as error:
        msg = f"{url}: cannot open this kind of storage: {error}"
        raise StorageError(msg) from None


def exists(url: str) -> bool:
    """Return whether a file or folder exists."""
    fs, path = filesystem(url)
    return bool(fs.exists(path))


def is_file(url: str) -> bool:
    """Return whether there is a file, not a folder."""
    fs, path = filesystem(url)
    return bool(fs.isfile(path))


def sizes(folder: str) -> dict[str, int]:
    """Return name to size in bytes of the files directly in a folder; empty if there is none.

    Files that a writer which was killed left behind under a temporary name are there, too.
    """
    return {_name(e): e["size"] for e in _entries(folder) if e["type"] == "file"}


def folders(folder: str) -> list[str]:
    """Return the names of the folders directly in a folder, sorted; empty if there is none."""
    return sorted(_name(e) for e in _entries(folder) if e["type"] == "directory")


def read_text(url: str) -> str:
    """Return the content of a text file.

    Raises:
        StorageError: it cannot be read.
    """
    fs, path = filesystem(url)
    try:
        with fs.open(path, "r", encoding="utf-8") as file:
            return str(file.read())
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{url}: cannot be read ({error})."
        raise StorageError(msg) from None


def write_text(url: str, text: str) -> None:
    """Write a whole text file, or nothing of it."""
    with atomic_writer(url) as file:
        file.write(text.encode())


def remove(url: str) -> None:
    """Remove a file or a folder with all that is in it; nothing happens if it is not there."""
    fs, path = filesystem(url)
    # Others may remove the same at this moment, so it is not asked for first.
    with suppress(FileNotFoundError):
        fs.rm(path, recursive=True)


def open_input(url: str) -> Any:
    """Return what pyarrow reads a file from: the path if it is local, else an open file."""
    if not is_remote(url):
        return url
    fs, path = filesystem(url)
    return fs.open(path, "rb")


def check_writable(base_path: str) -> None:
    """Create the base path and make sure that it can be written.

    Raises:
        StorageError: it cannot; the message says what to do.
    """
    probe = join(base_path, f".write-test-{uuid.uuid4().hex}")
    try:
        write_text(probe, "")
        remove(probe)
    except OSError as error:
        msg = (
            f"BASE_PATH {base_path} is not writable ({error.strerror or error}); choose another "
            "one, or give the user that runs the step write access."
        )
        raise StorageError(msg) from None


class HashingFile:
    """A binary output that counts and hashes what passes through it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.bytes_written = 0
        self.closed = False

    def write(self, data: Any) -> int:
        """Write bytes or any buffer."""
        view = memoryview(data)
        self._digest.update(view)
        self.bytes_written += view.nbytes
        self._file.write(view)
        return view.nbytes

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self.bytes_written

    def flush(self) -> None:
        """Pass on what is buffered."""
        self._file.flush()

    def close(self) -> None:
        """Leave the closing to whoever opened the file below."""
        self.closed = True

    @property
    def sha256(self) -> str:
        """The hash of all bytes so far, in hexadecimal."""
        return self._digest.hexdigest()


@contextmanager
def atomic_writer(url: str) -> Iterator[HashingFile]:
    """Open a file for writing that appears whole under its name, or not at all.

    A local file is written beside its place and renamed; an object store shows an object only once
    its upload is committed.
    """
    fs, path = filesystem(url)
    if is_remote(url):
        with _upload(fs, path) as file:
            yield HashingFile(file)
        return
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as file:
            yield HashingFile(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def _upload(fs: Any, path: str) -> Iterator[IO[bytes]]:
    fs.makedirs(parent(path), exist_ok=True)
    file = fs.open(path, "wb", autocommit=False)
    try:
        yield file
        file.close()
    except BaseException:
        file.discard()
        raise
    file.commit()


def _entries(folder: str) -> list[dict[str, Any]]:
    """Return what is in a folder at this moment: other processes write there, too."""
    fs, path = filesystem(folder)
    try:
        return list(fs.ls(path, detail=True, refresh=True))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _name(entry: dict[str, Any]) -> str:
    return str(entry["name"]).rstrip("/").rpartition("/")[2]


def sha256_of(url: str) -> str:
    """Return the hash of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    fs, path = filesystem(url)
    with fs.open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
