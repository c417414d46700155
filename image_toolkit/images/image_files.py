"""Which files are images, by name and by first bytes: one rule for all who look for images.

A file that looks like an image may still be unreadable: `decoding` decides that, and says why.
"""

import re
from pathlib import Path
from typing import Final

SUFFIXES: Final = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".png", ".apng", ".webp", ".gif", ".avif"),
        *(".avifs", ".heic", ".heif", ".hif", ".jxl", ".bmp", ".dib", ".tif", ".tiff", ".jp2"),
    }
)
START_BYTES: Final = 32
"""How many bytes of a file are needed to recognise an image."""

_STARTS: Final = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP|....ftyp(?:avi[fs]|hei[cfsx]|mif1|msf1)"
    rb"|\xff\x0a|\x00{3}\x0cJXL |II\*\x00|MM\x00\*|BM....\x00{4}",
    re.DOTALL,
)
_SYSTEM_FILES: Final = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


def has_image_suffix(path: str) -> bool:
    """Return whether a file has the suffix of an image."""
    return Path(path).suffix.lower() in SUFFIXES


def starts_as_image(start: bytes) -> bool:
    """Return whether a file that starts like this (at least `START_BYTES`) is an image."""
    return _STARTS.match(start) is not None


def is_of_the_system(name: str) -> bool:
    """Return whether a file or folder is hidden, or left behind by an operating system."""
    return name.startswith(".") or name.lower() in _SYSTEM_FILES


def kind_of(path: str) -> str:
    """Return a file's suffix as shown to the user."""
    return Path(path).suffix.lower() or "without a suffix"
