"""Which weights a model has, whatever its folder is called: a digest of their content."""

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

PREFIX: Final = "sha256:"
_BLOB: Final = re.compile(r"[0-9a-f]{64}")


def weights_digest(files: Sequence[Path]) -> str:
    """Return `sha256:` and 64 digits that files of weights share with every copy of them.

    Of one file, that is its own SHA-256, as the hub shows it; of several, that of theirs in the
    order of the names. Configuration and preparation are not part of it.
    """
    digests = [file_digest(file) for file in sorted(files)]
    if len(digests) == 1:
        return PREFIX + digests[0]
    return PREFIX + hashlib.sha256("".join(digests).encode()).hexdigest()


def file_digest(file: Path) -> str:
    """Return the SHA-256 of a file: its name in the hub's cache, or else read, once a process."""
    real = file.resolve()
    if real.parent.name == "blobs" and _BLOB.fullmatch(real.name):
        return real.name
    stat = real.stat()
    return _read_digest(real, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _read_digest(file: Path, _size: int, _changed: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
