"""Borders of one colour around a picture, as frames, letterboxes and screenshots have them."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

_EVEN: Final = 24  # by which the pixels of a border may differ, after JPEG
_STRAY: Final = 0.02  # of a line's pixels, which may differ more, where the picture shines through
_MOST: Final = 1 / 3  # of a side that may be border
_MOST_BORDERS: Final = 3  # one inside of the other


def without_border(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return a picture without the borders around it: RGB, shape (height, width, 3).

    A line at the edge is border if its pixels are about of one colour, that of the outermost.
    """
    return np.ascontiguousarray(_inside(pixels))


def border_share(pixels: npt.NDArray[np.uint8]) -> float:
    """Return the share of pixels that are border.

    What is inside of a border counts as one, too, if it has another colour: a dark picture has dark
    lines at its edges in a white frame as well as without.
    """
    inner = pixels
    for _ in range(_MOST_BORDERS):
        inner = _inside(inner)
    return 1 - inner.size / pixels.size


def _inside(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return a picture without the outermost border, as a view of it."""
    top, bottom = _lines(pixels)
    left, right = _lines(pixels[top : len(pixels) - bottom].transpose(1, 0, 2))
    height, width = pixels.shape[:2]
    return pixels[top : height - bottom, left : width - right]


def _lines(pixels: npt.NDArray[np.uint8]) -> tuple[int, int]:
    """Return how many lines of border there are at the beginning, and at the end."""
    most = int(len(pixels) * _MOST)
    return _leading(pixels[:most]), _leading(pixels[::-1][:most])


def _leading(lines: npt.NDArray[np.uint8]) -> int:
    if not len(lines):
        return 0
    colour: npt.NDArray[Any] = np.median(lines[0], axis=0).astype(np.float32)
    start, count = 0, 1  # more lines each time: most pictures have no border, and few a wide one
    while start < len(lines):
        apart = np.abs(lines[start : start + count] - colour).max(axis=2) > _EVEN
        inside = np.flatnonzero(apart.mean(axis=1) > _STRAY)
        if len(inside):
            return start + int(inside[0])
        start, count = start + count, 2 * count
    return 0  # an even picture is no border
