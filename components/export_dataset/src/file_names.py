"""Names of exported files: unique, and safe for any file system and reader.

They are derived from a row's id alone or, on request, from the original name of its image.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from itertools import count
from typing import Final

_PLAIN_ID: Final = re.compile(r"[a-z0-9_-]{1,100}")
_HASH_LENGTH: Final = 32
_MOST_BYTES: Final = 100
_SUFFIX: Final = re.compile(r"\.\w{1,16}$")
_UNSAFE: Final = re.compile(r"[^\w-]+")
_DEVICES: Final = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)
"""Names that Windows reserves for devices, whatever the suffix."""

_MASKS: Final = re.compile(r".*-(?:mask|cond)label", re.IGNORECASE | re.DOTALL)
"""Names that OneTrainer takes for the mask of another image."""


class SourceNames:
    """Names each row after its source; appends its id if an earlier row has the same name."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def stem(self, file_name: str | None, row_id: str) -> str:
        """Return a file name without suffix, unique even if case is ignored."""
        stem = next(
            name for name in _candidates(file_name, row_id) if _key(name) not in self._taken
        )
        self._taken.add(_key(stem))
        return stem


def stem_of_id(row_id: str) -> str:
    """Return a file name, without suffix, that is unique for an id on any file system."""
    if _PLAIN_ID.fullmatch(row_id) and not _means_more(row_id):
        return row_id
    return hashlib.sha256(row_id.encode()).hexdigest()[:_HASH_LENGTH]


def _candidates(file_name: str | None, row_id: str) -> Iterator[str]:
    own = stem_of_id(row_id)
    stem = _safe(file_name or "")
    if stem:
        yield stem
    first = f"{stem}-{own}" if stem else own
    yield first
    yield from (f"{first}-{number}" for number in count(2))


def _safe(file_name: str) -> str:
    """Reduce a path's last part to letters (of any script), digits, `_` and `-`; may be empty."""
    last = re.split(r"[/\\]", file_name)[-1]
    words = unicodedata.normalize("NFC", _SUFFIX.sub("", last))
    cut = _UNSAFE.sub("_", words).encode("utf-8", "ignore")[:_MOST_BYTES].decode("utf-8", "ignore")
    stem = cut.strip("_-")
    return "" if _means_more(stem) else stem


def _means_more(stem: str) -> bool:
    return bool(_DEVICES.fullmatch(stem) or _MASKS.fullmatch(stem))


def _key(stem: str) -> str:
    return unicodedata.normalize("NFC", stem.casefold())
