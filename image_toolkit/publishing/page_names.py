"""What a page of captions has beside it: small pictures by number, and the texts to correct."""

from typing import Final

PAGE: Final = "index.html"
PICTURES: Final = "pictures"
TEXTS: Final = "texts"


def picture_name(number: int) -> str:
    """Return the file of a small picture in its folder; the first has number 0."""
    return f"{number:06d}.jpg"
