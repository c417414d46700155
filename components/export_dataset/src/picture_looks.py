"""A thumbnail of a few bytes: enough to detect a rotated or different picture."""

import os
from typing import Final, NamedTuple

import numpy as np
from PIL import Image

from image_toolkit.images.decoding import image_header, pixels_of

_SIDE: Final = 8
_TOLERANCE: Final = 48
"""Tolerance per colour channel, of 255: a JPEG with sharp edges may be off by about 20."""


class Look(NamedTuple):
    """Width and height in pixels, and 8x8 RGB colours."""

    width: int
    height: int
    colours: bytes

    def differs(self, other: "Look") -> bool:
        """Return whether this is another picture, or the same in another orientation."""
        ours, theirs = (np.frombuffer(x.colours, np.uint8).astype(int) for x in (self, other))
        size = (self.width, self.height) != (other.width, other.height)
        return size or bool(np.abs(ours - theirs).max() > _TOLERANCE)


def look_of(image: Image.Image) -> Look:
    """Return the look of an image that a reader has opened, or decoded."""
    size = image.size
    image.draft(None, (8 * _SIDE, 8 * _SIDE))  # of an unread JPEG, decode a fraction
    pixels = image if image.mode == "RGB" else image.convert("RGB")
    small = pixels.resize((_SIDE, _SIDE), Image.Resampling.BOX)
    return Look(*size, small.tobytes())


class FileLooks:
    """The looks of files that layouts share: each is decoded once, whatever its names."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], Look] = {}

    def look_of(self, image: Image.Image) -> Look:
        """Return the look of an image that a reader has opened, or decoded."""
        name = getattr(image, "filename", "")
        if not name:
            return look_of(image)
        stat = os.stat(name)  # noqa: PTH116 - a path that the reader has opened
        file = stat.st_dev, stat.st_ino
        if file not in self._known:
            self._known[file] = look_of(image)
        return self._known[file]


def look_of_file(data: bytes) -> Look:
    """Return the look of an image file, as a captioning model sees it.

    Raises:
        NotAnImageError: it cannot be decoded.
    """
    header = image_header(data)
    pixels = pixels_of(header, data, target_side=8 * _SIDE)  # they may be downscaled
    return Look(*header.size, look_of(Image.fromarray(pixels)).colours)
