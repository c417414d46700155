"""A folder that a step wrote for others: whether its files are still as they were written.

The step leaves a mark there, `export.json`, and returns its path among the artifacts. The key
`files` of this JSON holds size, sha256 and stamp of each file, by its path below the folder. A
stamp is what the storage says of a file's last change; while it stays, the file need not be read.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, NamedTuple

from fondant_spec.dataset import storage
from fondant_spec.dataset.trusted_places import is_below
from fondant_spec.errors import StorageError

MARK: Final = "export.json"

_STAMPS: Final = ("ETag", "etag", "LastModified", "last_modified", "mtime", "created", "ctime")
"""What file systems call a file's last change; a local file's `created` is the change of its inode,
which no program can set back."""
_KEYS: Final = {"bytes", "sha256", "stamp"}
_MOST_NAMED: Final = 3


class FileState(NamedTuple):
    """A file's size in bytes, and its stamp: empty where the storage tells none."""

    bytes: int
    stamp: str


def is_mark(path: str) -> bool:
    """Return whether an artifact is the mark of a folder."""
    return path.rpartition("/")[2] == MARK


def files_below(folder: str) -> dict[str, FileState]:
    """Return the files at any depth below a folder, by their paths relative to it, sorted."""
    fs, path = storage.filesystem(folder)
    fs.invalidate_cache(path)
    root = path.rstrip("/") + "/"
    found = fs.find(path, detail=True)
    return {str(name).removeprefix(root): _state(found[name]) for name in sorted(found)}


def listed_files(mark: str) -> Mapping[str, Mapping[str, Any]] | None:
    """Return the files that a mark lists: `bytes`, `sha256` and `stamp` by path; None if none.

    Raises:
        StorageError: the mark cannot be read.
    """
    try:
        files = json.loads(storage.read_text(mark))["files"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not isinstance(files, Mapping):
        return None
    whole = all(isinstance(file, Mapping) and file.keys() >= _KEYS for file in files.values())
    return files if whole else None


def changed_files(mark: str, *, reads_all: bool = False) -> Iterator[str]:
    """Yield what became of each listed file that is not as it was: `<path> was edited`.

    Files that were added are no change. With `reads_all` stamps are not believed.
    """
    folder = storage.parent(mark)
    found = files_below(folder)
    for name, file in (listed_files(mark) or {}).items():
        state = found.get(name)
        if state is None:
            yield f"{name} was removed"
            continue
        path = storage.join(folder, name)
        believed = state.stamp and state.stamp == file["stamp"] and not reads_all
        if state.bytes != file["bytes"]:
            yield f"{name} was edited"
        elif not believed and not is_below(path, folder):
            yield f"{name} lies elsewhere, by a link, and was not read"
        elif not believed and storage.sha256_of(path) != file["sha256"]:
            yield f"{name} was edited"


def in_words(changes: Iterable[str]) -> str:
    """Return the first few changes, and how many there are beside them."""
    rest = iter(changes)
    named = ", ".join(islice(rest, _MOST_NAMED))
    more = sum(1 for _ in rest)
    return f"{named}, and {more} more" if more else named


def is_as_written(artifact: str) -> bool:
    """Return whether an artifact is no mark, or all files are there that it lists, unchanged."""
    if not is_mark(artifact):
        return True
    try:
        return next(changed_files(artifact), None) is None
    except (StorageError, FileNotFoundError):
        return False


def _state(info: Mapping[str, Any]) -> FileState:
    stamp = " ".join(str(info[key]) for key in _STAMPS if info.get(key) is not None)
    return FileState(int(info["size"]), stamp)
