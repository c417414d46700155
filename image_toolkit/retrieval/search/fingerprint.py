"""Fingerprints: a short name for the contents of an index that may be a terabyte large."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_SAMPLE_BYTES: Final = 64 << 10
_SAMPLES: Final = 16


def fingerprint(files: Iterable[Path]) -> str:
    """Return 16 hexadecimal digits that change when `files` do.

    Hashed are the names, the sizes and up to 17 samples of 64 KiB of each file, among them its
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
