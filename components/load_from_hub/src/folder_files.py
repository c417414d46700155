"""The files below a folder that the user named, and no others.

A path in a dataset was written by whoever made the dataset. It leads to files below the folder
only: not to others on this machine, and never out to the network. A link that leads out of the
folder is refused unless the user allows it; one that stays inside is followed to a file, while a
linked folder inside is left out, since its files are there already.
"""

import os
import posixpath
import re
import stat
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import fsspec
from data_files import DataFile, open_regular
from image_cells import BadCellError
from loaded_rows import Fault

from image_toolkit.images.image_files import is_of_the_system
from image_toolkit.publishing.own_folders import own_folders
from image_toolkit.text_encodings import printable

MAX_BYTES: Final = 256 << 20
"""The most that is read of one image file."""

_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_IN_ARCHIVE: Final = re.compile(r"zip://(?P<member>[^:]+)::(?P<archive>.+)")
_ADVICE: Final = "set follow_links to true if the folder is your own"


@dataclass
class Listing:
    """What lies below a folder: paths relative to it, sorted.

    `faults` are the files and folders that may not be read, by path. `left_out` counts what is not
    looked at, by what it is; `own` are the folders among that which these programs wrote.
    """

    names: list[str] = field(default_factory=list)
    faults: dict[str, Fault] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    own: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class LocalFolder:
    """A folder on this machine."""

    root: Path
    follow_links: bool = False

    def listing(self) -> Listing:
        """Return all files below the folder."""
        found = Listing()
        self._list("", found, {os.path.realpath(self.root)})
        found.names.sort()
        return found

    def file(self, name: str) -> DataFile:
        """Return a file of the listing."""
        return DataFile(printable(name), str(self.root / name))

    def read(self, path: str) -> bytes:
        """Return the bytes of the file that a cell names.

        Raises:
            BadCellError: it leads nowhere, or out of the folder.
        """
        archived = _IN_ARCHIVE.fullmatch(path)
        inner = archived["archive"] if archived else path
        if _URL.match(inner):
            raise _is_url(path)
        full = Path(os.path.normpath(self.root / inner))
        if not full.is_relative_to(os.path.normpath(self.root)):
            raise _outside(path, str(self.root))
        try:
            with open_regular(full, self._check_link) as file:
                return _member(file, archived["member"]) if archived else _bounded(file, path)
        except ValueError as error:  # a name that no file can have
            raise BadCellError(reason="file_not_found", message=f"{path!r}: {error}") from None

    def _check_link(self, path: Path) -> None:
        if not self.follow_links and not self._is_inside(path):
            message = f"it is a link, or lies behind one, that leads out of {self.root}; {_ADVICE}"
            raise BadCellError(reason="link_outside_dataset", message=message)

    def _is_inside(self, path: Path) -> bool:
        real, root = os.path.realpath(path), os.path.realpath(self.root)
        return real == root or real.startswith(root.rstrip("/") + "/")

    def _list(self, folder: str, found: Listing, seen: set[str]) -> None:
        own = own_folders(self.root / folder)
        with os.scandir(self.root / folder) as entries:
            for entry in entries:
                name = f"{folder}/{entry.name}" if folder else entry.name
                if is_of_the_system(entry.name):
                    found.left_out["hidden or the system's own"] += 1
                elif entry.name in own:
                    found.left_out["written by these programs"] += 1
                    found.own.append(name)
                else:
                    self._sort_in(name, Path(entry.path), found, seen)

    def _sort_in(self, name: str, path: Path, found: Listing, seen: set[str]) -> None:
        if path.is_symlink():
            inside = self._is_inside(path)
            if not inside and not self.follow_links:
                message = f"it is a link that leads out of {self.root}; {_ADVICE}"
                found.faults[name] = Fault("link_outside_dataset", message)
                return
            if inside and path.is_dir():
                found.left_out["linked folder of the same dataset"] += 1
                return
        try:
            mode = path.stat().st_mode
            if stat.S_ISREG(mode):
                found.names.append(name)
            elif not stat.S_ISDIR(mode):
                found.left_out["pipe, device or socket"] += 1
            elif (real := os.path.realpath(path)) not in seen:
                seen.add(real)
                self._list(name, found, seen)
            else:
                found.left_out["linked folder that was listed before"] += 1
        except OSError as error:
            found.faults[name] = Fault("unreadable_file", str(error))


@dataclass(frozen=True)
class RemoteFolder:
    """A folder behind an fsspec URL."""

    root: str

    def file(self, name: str) -> DataFile:
        """Return a file, given its path below the folder."""
        return DataFile(name, f"{self.root}/{name}")

    def read(self, path: str) -> bytes:
        """Return the bytes of the file that a cell names.

        Raises:
            BadCellError: it leads nowhere, or out of the folder.
        """
        archived = _IN_ARCHIVE.fullmatch(path)
        location = self._located(archived["archive"] if archived else path, path)
        if archived:
            location = f"zip://{archived['member']}::{location}"
        with fsspec.open(location, "rb") as file:
            return _bounded(file, path)

    def _located(self, inner: str, path: str) -> str:
        if _URL.match(inner) and not inner.startswith(self.root):
            raise _is_url(path)
        full = inner if _URL.match(inner) else f"{self.root}/{inner}"
        scheme = _URL.match(full)
        prefix = scheme.group() if scheme else ""
        normal = prefix + posixpath.normpath(full.removeprefix(prefix))
        below = re.match(re.escape(self.root.rstrip("/")) + "[/@]", normal)
        if not below or "::" in normal or inner.startswith("/"):
            raise _outside(path, self.root)
        return normal


def _member(file: IO[bytes], name: str) -> bytes:
    """Return a file that lies in a zip archive."""
    try:
        with zipfile.ZipFile(file) as archive, archive.open(name) as member:
            return _bounded(member, name)
    except KeyError:
        raise FileNotFoundError(name) from None
    except (zipfile.BadZipFile, RuntimeError) as error:
        raise BadCellError(reason="unreadable_file", message=f"{name}: {error}") from None


def _bounded(file: IO[bytes] | Any, path: str) -> bytes:
    data: bytes = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        message = f"{path} has more than {MAX_BYTES} bytes"
        raise BadCellError(reason="file_too_large", message=message)
    return data


def _is_url(path: str) -> BadCellError:
    message = f"{path!r} is a URL, not a file of the dataset; load it as a text field, and let "
    return BadCellError(reason="url_not_a_file", message=message + "download_images fetch it")


def _outside(path: str, root: str) -> BadCellError:
    message = f"{path!r} leads out of the dataset at {root}; move the list to a folder "
    return BadCellError(reason="path_outside_dataset", message=message + "that holds both")
