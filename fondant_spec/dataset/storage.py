"""Reading and writing under the base path, which is a local folder or any fsspec URL."""

import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

import fsspec
from fsspec.spec import AbstractBufferedFile

from fondant_spec.dataset.hashing_file import HashingFile
from fondant_spec.dataset.trusted_places import why_not_read
from fondant_spec.errors import StorageError
from fondant_spec.shown_text import signs_in

# By name: what reads a store is loaded where there is one.
for _protocol, _class in {
    "s3": "stores.S3Store",
    "s3a": "stores.S3Store",
    "gs": "google_store.GoogleStore",
    "gcs": "google_store.GoogleStore",
}.items():
    fsspec.register_implementation(
        _protocol,
        f"fondant_spec.dataset.{_class}",
        clobber=True,
        errtxt="install fondant-spec with its extra `storage`",
    )

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
        StorageError: it is a URL with a password or token in it, or has bytes that are no text:
            manifests hold neither.
    """
    text = str(url)
    try:
        text.encode()
    except UnicodeEncodeError:
        msg = f"{text!r}: has bytes that are no UTF-8; rename the folder."
        raise StorageError(msg) from None
    if signs_in(text):
        msg = (
            f"{text}: a base path is kept in manifests that others read, so no password may be in "
            "it; give it in the environment, as AWS_*, GOOGLE_* or FSSPEC_*."
        )
        raise StorageError(msg)
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
        StorageError: it cannot be read, or is no regular file of its folder.
    """
    _check_readable(url)
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


def write_new_text(url: str, text: str) -> None:
    """Write a whole text file where none is; on a store, whose precondition it is, or not at all.

    Raises:
        StorageError: there is one that somebody else wrote.
    """
    fs, path = filesystem(url)
    if not hasattr(fs, "check_bucket"):
        write_text(url, text)
        return
    try:
        fs.pipe_file(path, text.encode(), mode="create")
    except OSError as error:
        if not exists(url):
            msg = f"{url}: cannot be written ({error})."
            raise StorageError(msg) from None
        if read_text(url) != text:  # else it was this write, whose answer was lost
            msg = f"{url}: another run has written it meanwhile; run again to take its result."
            raise StorageError(msg) from None


def remove(url: str) -> None:
    """Remove a file or a folder with all that is in it; nothing happens if it is not there."""
    fs, path = filesystem(url)
    # Others may remove the same at this moment, so it is not asked for first.
    with suppress(FileNotFoundError):
        if is_remote(url) and not getattr(fs, "takes_names_literally", False):
            _remove_by_name(fs, path)
        else:
            fs.rm(path, recursive=True)


def _remove_by_name(fs: Any, path: str) -> None:
    """Remove exactly the named paths: fsspec's own `rm` would expand them as patterns."""
    if fs.isfile(path):
        fs.rm_file(path)
        return
    below = fs.find(path, withdirs=True, detail=True)
    for name in sorted(below, reverse=True):
        if below[name]["type"] == "file":
            fs.rm_file(name)
        else:
            fs.rmdir(name)
    with suppress(OSError, NotImplementedError):  # where folders are no more than names
        fs.rmdir(path)


def abort_uploads(folder: str) -> None:
    """Give up what a writer that was killed had begun to send below a folder of a store."""
    fs, path = filesystem(folder)
    if hasattr(fs, "abort_uploads"):
        fs.abort_uploads(path)


def open_input(url: str) -> Any:
    """Return what pyarrow reads a file from: the path if it is local, else an open file.

    Of that, what is asked for is fetched and no more: pyarrow knows best which ranges it needs.

    Raises:
        StorageError: it is no regular file of its folder.
    """
    _check_readable(url)
    if not is_remote(url):
        return url
    fs, path = filesystem(url)
    return fs.open(path, "rb", cache_type="none")


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
    is_upload = isinstance(file, AbstractBufferedFile)
    try:
        yield file
        if is_upload:
            file.autocommit = True  # now that it is whole: what fits into one request is one
        file.close()
    except BaseException:
        file.discard()
        if is_upload:
            file.closed = True  # so that it is not sent when it is forgotten
        raise
    if not is_upload:
        file.commit()


def _entries(folder: str) -> list[dict[str, Any]]:
    """Return what is in a folder at this moment: other processes write there, too.

    A file, or the empty object by which some tools mark a folder on a store, has nothing in it.
    """
    fs, path = filesystem(folder)
    try:
        entries = fs.ls(path, detail=True, refresh=True)
        return [one for one in entries if one["name"].rstrip("/") != path.rstrip("/")]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _check_readable(url: str) -> None:
    if not is_remote(url) and (why := why_not_read(url.removeprefix("file://"))):
        msg = f"{url}: {why}."
        raise StorageError(msg)


def _name(entry: dict[str, Any]) -> str:
    return str(entry["name"]).rstrip("/").rpartition("/")[2]


def sha256_of(url: str) -> str:
    """Return the hash of a file's content, in hexadecimal.

    Raises:
        StorageError: it is no regular file of its folder.
    """
    _check_readable(url)
    digest = hashlib.sha256()
    fs, path = filesystem(url)
    with fs.open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
