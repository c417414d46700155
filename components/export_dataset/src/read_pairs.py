"""What the reader of a layout finds, and where it looks for images."""

from pathlib import Path
from typing import NamedTuple

from PIL import Image


class ReadPair(NamedTuple):
    """What a reader finds. `captions` are all that the trainer chooses from.

    `repeats` is how often it sees the pair in an epoch.
    """

    split: str
    stem: str
    captions: tuple[str, ...]
    image: Image.Image
    mask: Image.Image | None = None
    repeats: int = 1


def image_files(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    """Return the files right in a folder that a trainer takes for images, by name."""
    files = (path for path in folder.iterdir() if path.is_file())
    return sorted(path for path in files if path.suffix.lower() in suffixes)
