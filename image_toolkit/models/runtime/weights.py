"""Digests of model files, which identify a model whatever its folder is called."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

PREFIX: Final = "sha256:"
_FOLDER_DIGITS: Final = 16
_BLOB: Final = re.compile(r"[0-9a-f]{64}")


def weights_digest(files: Sequence[Path]) -> str:
    """Return `sha256:` and 64 digits, the same for every copy of these weight files.

    For one file, it is its own SHA-256, as the hub shows it; for several, that of their digests in
    the order of names. Configuration and preparation are not included.
    """
    digests = [file_digest(file) for file in sorted(files)]
    if len(digests) == 1:
        return PREFIX + digests[0]
    return PREFIX + hashlib.sha256("".join(digests).encode()).hexdigest()


def folder_digest(folder: Path, files: Iterable[Path]) -> str:
    """Return `sha256:` and 16 digits over the names and contents of files, in this order.

    It serves as the revision of a model that has no commit, and so is part of cache keys.
    """
    total = hashlib.sha256()
    for file in files:
        name = file.relative_to(folder).as_posix()
        total.update(name.encode() + bytes.fromhex(file_digest(file)))
    return PREFIX + total.hexdigest()[:_FOLDER_DIGITS]


def file_digest(file: Path) -> str:
    """Return the SHA-256 of a file: its name in the hub's cache, or else computed once."""
    real = file.resolve()
    if real.parent.name == "blobs" and _BLOB.fullmatch(real.name):
        return real.name
    stat = real.stat()
    return _read_digest(real, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _read_digest(file: Path, _size: int, _changed: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
