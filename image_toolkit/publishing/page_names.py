"""The names of the files beside a page of captions: numbered thumbnails, and texts to correct."""

from typing import Final

PAGE: Final = "index.html"
PICTURES: Final = "pictures"
TEXTS: Final = "texts"


def picture_name(number: int) -> str:
    """Return the file name of a thumbnail in its folder; the first has number 0."""
    return f"{number:06d}.jpg"
