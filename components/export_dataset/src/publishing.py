"""A folder of files that appears under its name whole, or not at all.

It is built in a folder of its own, then moved, its mark last. The mark tells later runs that the
folder is theirs to replace; whatever else lies at the target is never touched.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from fondant_spec.dataset import storage
from fondant_spec.errors import StorageError

MARK: Final = "export.json"
_UNFINISHED: Final = ".unfinished"


@contextmanager
def published(target: str, told: Mapping[str, Any]) -> Iterator[Path]:
    """Yield an empty local folder, the content of which then replaces what is at `target`.

    `target` is a local folder, new, empty or published before, or a URL. `told` is read at the end
    and goes into the mark, a JSON file. If the block raises, `target` stays as it is.

    Raises:
        StorageError: the target holds files that were not published, or cannot be written.
    """
    check_replaceable(target)
    try:
        with _workshop(target) as folder:
            yield folder
            mark = {**told, "files": _digest(_files(str(folder)))}
            check_replaceable(target)
            _remove_published(target)
            _move(folder, target)
            storage.write_text(storage.join(target, MARK), json.dumps(mark, indent=2) + "\n")
    except OSError as error:
        msg = f"{target}: cannot be written ({error}); choose another path, or give write access."
        raise StorageError(msg) from error


def check_replaceable(target: str) -> None:
    """Make sure that nothing at `target` is anybody else's.

    Raises:
        StorageError: it holds files that were not published there, or others than were.
    """
    names = _files(target)
    if not names:
        return
    if MARK not in names:
        msg = f"{target}: is not empty (it holds {names[0]!r}); choose an empty or a new folder."
        raise StorageError(msg)
    names.remove(MARK)
    mark = json.loads(storage.read_text(storage.join(target, MARK)))
    if mark.get("files") != _digest(names):
        msg = (
            f"{target}: files were added or removed since it was exported; "
            "choose another folder, or remove this one."
        )
        raise StorageError(msg)


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
    fs, path = storage.filesystem(target)
    root = path.rstrip("/") + "/"
    names = (str(name).removeprefix(root) for name in fs.find(path))
    return sorted(name for name in names if not name.startswith(f"{_UNFINISHED}/"))


def _digest(names: list[str]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


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
