"""Export folders that a step wrote, and whether their files are unchanged since.

The step leaves a mark there, `export.json`, and returns its path among the artifacts. The key
`files` of this JSON holds size, sha256 and stamp of each file, by its path below the folder. A
stamp is what the storage records of a file's last change; while it is unchanged, the file need not
be read.
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
"""Names that file systems use for a file's last change; a local file's `created` is its inode
change time, which no program can set back.
"""
_KEYS: Final = {"bytes", "sha256", "stamp"}
_MOST_NAMED: Final = 3


class FileState(NamedTuple):
    """A file's size in bytes, and its stamp: empty if the storage has none."""

    bytes: int
    stamp: str


def is_mark(path: str) -> bool:
    """Return whether an artifact is the mark of a folder."""
    return path.rpartition("/")[2] == MARK


def files_below(folder: str) -> dict[str, FileState]:
    """Return all files below a folder by their relative paths, sorted."""
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
    """Yield what happened to each listed file that has changed: `<path> was edited`.

    Added files do not count as changes. With `reads_all`, stamps are not trusted.
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
    """Describe the first few changes, and how many more there are."""
    rest = iter(changes)
    named = ", ".join(islice(rest, _MOST_NAMED))
    more = sum(1 for _ in rest)
    return f"{named}, and {more} more" if more else named


def is_as_written(artifact: str) -> bool:
    """Return whether an artifact is not a mark, or all files it lists exist unchanged."""
    if not is_mark(artifact):
        return True
    try:
        return next(changed_files(artifact), None) is None
    except (StorageError, FileNotFoundError):
        return False


def _state(info: Mapping[str, Any]) -> FileState:
    stamp = " ".join(str(info[key]) for key in _STAMPS if info.get(key) is not None)
    return FileState(int(info["size"]), stamp)
