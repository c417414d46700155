"""Fingerprints: short ids for the contents of an index that may be a terabyte large.

They hash samples and not times, so that copies agree; an edit between the samples is missed. If no
edit may be missed, `state_of` includes modification times.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

_SAMPLE_BYTES: Final = 64 << 10
_SAMPLES: Final = 16


def fingerprint(files: Iterable[Path]) -> str:
    """Return 16 hexadecimal digits, the same for every copy of `files`.

    It hashes the name, the size and up to 17 samples of 64 KiB of each file, including its
    beginning and its end, where the formats keep their headers and footers.
    """
    digest = hashlib.sha256()
    for file in files:
        size = file.stat().st_size
        digest.update(os.fsencode(file.name) + f"\0{size}\0".encode())
        with file.open("rb") as stream:
            for sample in range(_SAMPLES + 1):
                stream.seek(max(0, size - _SAMPLE_BYTES) * sample // _SAMPLES)
                digest.update(stream.read(_SAMPLE_BYTES))
    return digest.hexdigest()[:16]


def state_of(files: Sequence[Path]) -> str:
    """Return 16 hexadecimal digits that change with every edit of `files`.

    For files that the samples do not cover, the modification time is hashed as well.
    """
    digest = hashlib.sha256(fingerprint(files).encode())
    for stat in (file.stat() for file in files):
        if stat.st_size > _SAMPLE_BYTES * (_SAMPLES + 1):
            digest.update(f"{stat.st_mtime_ns}\0".encode())
    return digest.hexdigest()[:16]
