"""Borders of uniform colour around a picture: frames, letterboxes and screenshots."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

_EVEN: Final = 24  # tolerance within a border, after JPEG
_STRAY: Final = 0.02  # of a line's pixels that may differ more, as the picture may reach in
_MOST: Final = 1 / 3  # of a side, at most
_MOST_BORDERS: Final = 3  # nested ones


def without_border(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return a picture without the borders around it: RGB, shape (height, width, 3).

    A line at the edge is border if nearly all of its pixels have the colour of the outermost line.
    """
    return np.ascontiguousarray(_inside(pixels))


def border_share(pixels: npt.NDArray[np.uint8]) -> float:
    """Return the share of pixels that are border.

    What is inside of a border also counts as one, if it has another colour: a dark picture has dark
    lines at its edges, with a white frame or without.
    """
    inner = pixels
    for _ in range(_MOST_BORDERS):
        inner = _inside(inner)
    return 1 - inner.size / pixels.size


def _inside(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return a view of a picture without its outermost border."""
    top, bottom = _lines(pixels)
    left, right = _lines(pixels[top : len(pixels) - bottom].transpose(1, 0, 2))
    height, width = pixels.shape[:2]
    return pixels[top : height - bottom, left : width - right]


def _lines(pixels: npt.NDArray[np.uint8]) -> tuple[int, int]:
    """Return the number of border lines at the beginning, and at the end."""
    most = int(len(pixels) * _MOST)
    return _leading(pixels[:most]), _leading(pixels[::-1][:most])


def _leading(lines: npt.NDArray[np.uint8]) -> int:
    if not len(lines):
        return 0
    colour: npt.NDArray[Any] = np.median(lines[0], axis=0).astype(np.float32)
    start, count = 0, 1  # more lines each time: most borders are narrow, or absent
    while start < len(lines):
        apart = np.abs(lines[start : start + count] - colour).max(axis=2) > _EVEN
        inside = np.flatnonzero(apart.mean(axis=1) > _STRAY)
        if len(inside):
            return start + int(inside[0])
        start, count = start + count, 2 * count
    return 0  # a uniform picture is not a border
