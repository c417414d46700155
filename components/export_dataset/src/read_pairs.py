"""Pairs as the reader of a layout finds them, and where it looks for images."""

from pathlib import Path
from typing import NamedTuple

from PIL import Image


class ReadPair(NamedTuple):
    """A pair read back. `captions` are all that the trainer chooses from.

    `repeats` is how often it sees the pair per epoch.
    """

    split: str
    stem: str
    captions: tuple[str, ...]
    image: Image.Image
    mask: Image.Image | None = None
    repeats: int = 1


def image_files(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    """Return the files directly in a folder that a trainer takes for images, sorted by name."""
    files = (path for path in folder.iterdir() if path.is_file())
    return sorted(path for path in files if path.suffix.lower() in suffixes)
