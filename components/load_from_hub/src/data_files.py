"""Files as they are opened: on this machine without any reading of their names, else by fsspec.

Only regular files are opened on this machine: a pipe would wait for ever, a device do anything.
"""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import fsspec
import pyarrow as pa

_COMPRESSIONS: Final = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
COMPRESSED: Final = tuple(_COMPRESSIONS)
_PACKINGS: Final = {**_COMPRESSIONS, ".tgz": "gzip"}
"""Packings by suffix: `.tgz` tells that, and a kind of file as well."""


@dataclass(frozen=True)
class DataFile:
    """A file of a dataset. `location` is a path on this machine, or a URL."""

    name: str
    location: str

    @property
    def suffix(self) -> str:
        """The suffix that tells its kind, in small letters."""
        return suffix_of(self.location)

    def open(self) -> IO[bytes]:
        """Open it, unpacked.

        Raises:
            OSError: it cannot be opened, or is no regular file.
        """
        file = open_regular(Path(self.location)) if is_local(self.location) else self._remote()
        packed = _PACKINGS.get(Path(self.location).suffix.lower())
        return pa.CompressedInputStream(pa.PythonFile(file, "r"), packed) if packed else file

    def seekable(self) -> Any:
        """Return the open file, which pyarrow reads by seeking."""
        return self.open()

    def _remote(self) -> Any:
        fs, path = fsspec.core.url_to_fs(self.location)
        return fs.open(path, "rb")


def is_local(location: str) -> bool:
    """Return whether a location is a path on this machine."""
    return location.startswith("/") or "://" not in location


def suffix_of(name: str) -> str:
    """Return the suffix that tells the kind of a file, in small letters, without a packing's."""
    path = Path(name)
    return Path(path.stem if path.suffix.lower() in COMPRESSED else path.name).suffix.lower()


def open_regular(path: Path, check: Callable[[Path], None] | None = None) -> IO[bytes]:
    """Open a regular file; anything else is an error, and is not waited for.

    Raises:
        OSError: it cannot be opened, or is something else.
    """
    if check is not None:
        check(path)
    if not stat.S_ISREG(path.stat().st_mode):
        msg = f"{path} is no regular file, but a {_kind(path.stat().st_mode)}"
        raise OSError(msg)
    # Should it have become a pipe in between, this does not wait for a writer either.
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "folder"
    return "pipe" if stat.S_ISFIFO(mode) else "device or socket"
