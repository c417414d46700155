"""The names of the files that hold captions for people to correct: their images' own."""

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import PurePosixPath
from typing import Final

SUFFIX: Final = ".txt"

_LONGEST_NAME: Final = 200  # bytes, which all file systems take with a suffix
_HASH_LENGTH: Final = 32


def text_names(names: Iterable[tuple[str | None, str]]) -> Iterator[str]:
    """Yield the file for the text of each image, given its own name, if it has one, and its id.

    That is its name with `.txt` behind, in the same folders, or its id where it has no name that
    can be a file below a folder, or one that came already. No two are one file, not even where
    case is ignored, or how a letter is composed.
    """
    taken: set[str] = set()
    for name, row_id in names:
        wanted = next(one for one in _candidates(name, row_id) if _key(one) not in taken)
        taken.add(_key(wanted))
        yield f"{wanted}{SUFFIX}"


def _candidates(name: str | None, row_id: str) -> Iterator[str]:
    if name and _is_safe(name):
        yield PurePosixPath(name).as_posix()  # as the folder lists it: without `./`, or `//`
    own = row_id if _is_safe(row_id) else hashlib.sha256(row_id.encode()).hexdigest()[:_HASH_LENGTH]
    yield own
    yield from (f"{own}-{number}" for number in count(2))


def _key(name: str) -> str:
    """Return what is the same for all names that a file system may take for one."""
    path = PurePosixPath(unicodedata.normalize("NFC", name)).as_posix()
    return unicodedata.normalize("NFC", path.casefold())


def _is_safe(name: str) -> bool:
    """Return whether a name is that of a file below a folder, on any system."""
    path = PurePosixPath(name)
    fits = all(len(part.encode(errors="replace")) <= _LONGEST_NAME for part in path.parts)
    inside = not path.is_absolute() and ".." not in path.parts and "\\" not in name
    return bool(path.parts) and fits and inside and name.isprintable()
