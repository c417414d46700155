"""What a picture looks like in a few bytes: enough to see that it was turned, or is another one."""

import os
from typing import Final, NamedTuple

import numpy as np
from PIL import Image

from image_toolkit.images.decoding import image_header, pixels_of

_SIDE: Final = 8
_TOLERANCE: Final = 48
"""How far a colour may be off, of 255: a JPEG of a picture with sharp edges is off by some 20."""


class Look(NamedTuple):
    """Width and height in pixels, and 8x8 RGB colours."""

    width: int
    height: int
    colours: bytes

    def differs(self, other: "Look") -> bool:
        """Return whether this is not the same picture, the same way up."""
        ours, theirs = (np.frombuffer(x.colours, np.uint8).astype(int) for x in (self, other))
        size = (self.width, self.height) != (other.width, other.height)
        return size or bool(np.abs(ours - theirs).max() > _TOLERANCE)


def look_of(image: Image.Image) -> Look:
    """Return what an image looks like that a reader has opened, or decoded."""
    size = image.size
    image.draft(None, (8 * _SIDE, 8 * _SIDE))  # of a JPEG that is only opened, decode a fraction
    pixels = image if image.mode == "RGB" else image.convert("RGB")
    small = pixels.resize((_SIDE, _SIDE), Image.Resampling.BOX)
    return Look(*size, small.tobytes())


class FileLooks:
    """The looks of files that layouts share: each is decoded once, whatever names it has."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], Look] = {}

    def look_of(self, image: Image.Image) -> Look:
        """Return what an image looks like that a reader has opened, or decoded."""
        name = getattr(image, "filename", "")
        if not name:
            return look_of(image)
        stat = os.stat(name)  # noqa: PTH116 - a path that the reader has opened
        file = stat.st_dev, stat.st_ino
        if file not in self._known:
            self._known[file] = look_of(image)
        return self._known[file]


def look_of_file(data: bytes) -> Look:
    """Return what an image file looks like to a captioning model.

    Raises:
        NotAnImageError: it cannot be decoded.
    """
    header = image_header(data)
    pixels = pixels_of(header, data, target_side=8 * _SIDE)  # they may be a fraction of its size
    return Look(*header.size, look_of(Image.fromarray(pixels)).colours)
