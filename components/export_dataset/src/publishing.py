"""A folder of files that appears under its name whole, or not at all.

It is built in a folder of its own, then moved, its mark last. The mark lists the files, which tells
later runs that the folder is theirs to replace; what else lies at the target, or was changed there,
is never touched.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from hashed_folder import HashedFolder

from fondant_spec.dataset import storage
from fondant_spec.dataset.written_files import (
    MARK,
    changed_files,
    files_below,
    in_words,
    listed_files,
)
from fondant_spec.errors import StorageError

_UNFINISHED: Final = ".unfinished"
_KEEP: Final = (
    "To keep the folder as it is, choose another output_path or move it away; to have it exported "
    "anew, remove it."
)


@contextmanager
def published(target: str, told: Mapping[str, Any]) -> Iterator[HashedFolder]:
    """Yield an empty local folder, the content of which then replaces what is at `target`.

    `target` is a local folder, new, empty or published before, or a URL. `told` is read at the end
    and goes into the mark, a JSON file. If the block raises, `target` stays as it is.

    Raises:
        StorageError: the target holds what was not published or was changed since, or cannot be
            written.
    """
    check_replaceable(target)
    try:
        with _workshop(target) as path:
            folder = HashedFolder(path)
            yield folder
            check_replaceable(target)
            _remove_published(target)
            _move(path, target)
            mark = {**told, "files": _listing(folder, target)}
            storage.write_text(storage.join(target, MARK), json.dumps(mark, indent=2) + "\n")
    except OSError as error:
        msg = f"{target}: cannot be written ({error}); choose another path, or give write access."
        raise StorageError(msg) from error


def check_replaceable(target: str) -> None:
    """Make sure that nothing at `target` is anybody else's, nor was changed by anybody.

    Raises:
        StorageError: it holds files that were not published there, or others than were.
    """
    names = _files(target)
    if not names:
        return
    if MARK not in names:
        msg = f"{target}: is not empty (it holds {names[0]!r}); choose an empty or a new folder."
        raise StorageError(msg)
    mark = storage.join(target, MARK)
    listed = listed_files(mark)
    if listed is None:
        msg = f"{target}: its {MARK} does not list its files, so they may be anybody's. {_KEEP}"
        raise StorageError(msg)
    added = [f"{name} was added" for name in names if name not in listed and name != MARK]
    changes = in_words([*changed_files(mark), *added])
    if changes:
        msg = f"{target}: is not as it was exported: {changes}. Nothing was overwritten. {_KEEP}"
        raise StorageError(msg)


def _listing(folder: HashedFolder, target: str) -> dict[str, dict[str, Any]]:
    """Return what the mark says of each file: as it was written, and its stamp where it lies."""
    found = files_below(target)
    return {
        name: {**file._asdict(), "stamp": found[name].stamp if name in found else ""}
        for name, file in sorted(folder.files.items())
    }


@contextmanager
def _workshop(target: str) -> Iterator[Path]:
    """Yield an empty local folder; inside a local target, which may be a mount of its own."""
    if storage.is_remote(target):
        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)
        return
    folder = Path(target) / _UNFINISHED
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _files(target: str) -> list[str]:
    """Return the paths of all files below a folder, relative to it, sorted."""
    return [name for name in files_below(target) if not name.startswith(f"{_UNFINISHED}/")]


def _remove_published(target: str) -> None:
    fs, path = storage.filesystem(target)
    names = _files(target)
    for name in sorted({name.partition("/")[0] for name in names} - {MARK}):
        fs.rm(f"{path}/{name}", recursive=True)
    if MARK in names:
        fs.rm(f"{path}/{MARK}")


def _move(folder: Path, target: str) -> None:
    fs, path = storage.filesystem(target)
    for entry in sorted(folder.iterdir()):
        if storage.is_remote(target):
            fs.put(str(entry), f"{path}/{entry.name}", recursive=True)
        else:
            entry.rename(Path(target) / entry.name)
