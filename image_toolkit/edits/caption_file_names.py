"""The names of the caption files that people correct: those of their images."""

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import PurePosixPath
from typing import Final

SUFFIX: Final = ".txt"

_LONGEST_NAME: Final = 200  # bytes, which all file systems accept, with a suffix
_HASH_LENGTH: Final = 32


def text_names(names: Iterable[tuple[str | None, str]]) -> Iterator[str]:
    """Yield the file for the text of each image, given its own name, if any, and its id.

    This is the image's name with `.txt` appended, in the same folders; or its id, if it has no name
    that is safe below a folder, or the name is already taken. No two are the same file, even where
    case or the composition of letters is ignored.
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
    """Return a form that is equal for all names that a file system may consider equal."""
    path = PurePosixPath(unicodedata.normalize("NFC", name)).as_posix()
    return unicodedata.normalize("NFC", path.casefold())


def _is_safe(name: str) -> bool:
    """Return whether a name is a safe file name below a folder, on any system."""
    path = PurePosixPath(name)
    fits = all(len(part.encode(errors="replace")) <= _LONGEST_NAME for part in path.parts)
    inside = not path.is_absolute() and ".." not in path.parts and "\\" not in name
    return bool(path.parts) and fits and inside and name.isprintable()
