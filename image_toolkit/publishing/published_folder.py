"""A folder of files that is complete once it has its mark, and may be replaced by a later run.

It is built in a separate folder, then moved, the mark last. The mark lists the files, which tells
later runs that they may replace the folder; anything else at the target, and anything modified, is
never touched. An interrupted move leaves a note, by which the next run can clean up.
"""

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from fondant_spec.dataset import storage
from fondant_spec.dataset.written_files import (
    MARK,
    changed_files,
    files_below,
    in_words,
    listed_files,
)
from fondant_spec.errors import StorageError
from image_toolkit.publishing.hashed_folder import HashedFolder
from image_toolkit.publishing.replacement_note import NOTE, clearable_files, foreign_files, note

_UNFINISHED: Final = ".unfinished"
_KEEP: Final = (
    "To keep the folder as it is, choose another output_path or move it away; to have it exported "
    "anew, remove it."
)


@contextmanager
def published(target: str, told: Mapping[str, Any]) -> Iterator[HashedFolder]:
    """Yield an empty local folder, whose content then replaces what is at `target`.

    `target` is a URL or a local folder: new, empty or previously published. `told` is read at the
    end and stored in the mark, a JSON file. If the block raises, `target` is left unchanged. If it
    can only be written in part, it has no mark, and may be published to again.

    Raises:
        StorageError: the target contains files that were not published there or were modified
            since, or cannot be written.
    """
    check_replaceable(target)
    try:
        with _workshop(target) as path:
            folder = HashedFolder(path)
            yield folder
            check_replaceable(target)
            built = sorted(path.iterdir())
            _write(note(_clearable(folder, target)), path / NOTE, target)
            _remove_published(target)
            for entry in built:
                _move(entry, target)
            _write({**told, "files": _listing(folder, target)}, path / MARK, target)
            storage.remove(storage.join(target, NOTE))
    except OSError as error:
        msg = f"{target}: cannot be written ({error}); choose another path, or give write access."
        raise StorageError(msg) from error


def check_replaceable(target: str) -> None:
    """Check that everything at `target` was published there, and is unmodified.

    Raises:
        StorageError: it contains other files, or modified ones.
    """
    if storage.is_file(target):
        msg = f"{target}: is a file; choose an empty or a new folder."
        raise StorageError(msg)
    names = _files(target)
    if _is_noted(target):
        changes = in_words(foreign_files(target, [name for name in names if name != MARK]))
    elif not names:
        return
    elif MARK not in names:
        msg = f"{target}: is not empty (it holds {names[0]!r}); choose an empty or a new folder."
        raise StorageError(msg)
    else:
        changes = in_words(_changes(target, names))
    if changes:
        msg = f"{target}: is not as it was exported: {changes}. Nothing was overwritten. {_KEEP}"
        raise StorageError(msg)


def _changes(target: str, names: Iterable[str]) -> list[str]:
    """Return how these files differ from those that the mark lists.

    Raises:
        StorageError: the mark does not list files.
    """
    mark = storage.join(target, MARK)
    listed = listed_files(mark)
    if listed is None:
        msg = f"{target}: its {MARK} does not list its files, so they may be anybody's. {_KEEP}"
        raise StorageError(msg)
    added = [f"{name} was added" for name in names if name not in listed and name != MARK]
    return [*changed_files(mark), *added]


def _clearable(folder: HashedFolder, target: str) -> dict[str, set[str]]:
    """Return the current and future hashes of each file at a target that was checked before."""
    if _is_noted(target):
        found = {name: set(hashes) for name, hashes in clearable_files(target).items()}
    else:
        listed = listed_files(storage.join(target, MARK)) if MARK in _files(target) else None
        found = {name: {str(file["sha256"])} for name, file in (listed or {}).items()}
    for name, file in folder.files.items():
        found.setdefault(name, set()).add(file.sha256)
    return found


def _listing(folder: HashedFolder, target: str) -> dict[str, dict[str, Any]]:
    """Return the mark's entry for each file: as written, with its stamp at the target."""
    found = files_below(target)
    return {
        name: {**file._asdict(), "stamp": found[name].stamp if name in found else ""}
        for name, file in sorted(folder.files.items())
    }


@contextmanager
def _workshop(target: str) -> Iterator[Path]:
    """Yield an empty local folder; inside a local target, which may be a separate mount."""
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


def _is_noted(target: str) -> bool:
    return storage.is_file(storage.join(target, NOTE))


def _files(target: str) -> list[str]:
    """Return the paths of all files of an export at any depth, relative to the target, sorted."""
    found = files_below(target)
    return [name for name in found if name != NOTE and not name.startswith(f"{_UNFINISHED}/")]


def _remove_published(target: str) -> None:
    """Remove an export, its mark first: from then on, the rest does not count as complete."""
    names = _files(target)
    storage.remove(storage.join(target, MARK))
    for name in sorted({name.partition("/")[0] for name in names} - {MARK}):
        storage.remove(storage.join(target, name))


def _write(content: Mapping[str, Any], file: Path, target: str) -> None:
    """Write JSON to a local file, then move it, so that the target never has half of it."""
    storage.write_text(str(file), json.dumps(content, indent=2) + "\n")
    _move(file, target)


def _move(entry: Path, target: str) -> None:
    if storage.is_remote(target):
        fs, path = storage.filesystem(target)
        fs.put(str(entry), f"{path}/{entry.name}", recursive=True)
    else:
        entry.replace(Path(target) / entry.name)
