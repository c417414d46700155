"""Pictures on disk, until it is known which of them are wanted."""

from tempfile import TemporaryFile
from threading import Lock
from typing import Final

import numpy as np
from PIL import Image

from image_toolkit.evaluation.standard_look import Pixels, as_jpeg
from image_toolkit.images.small_pictures import data_address, fitted_size

SIDE: Final = 160
"""Pixels of the longer side of a picture on a page."""

_QUALITY: Final = 80


class PictureSpool:
    """Keeps files by name, in one that is gone when it is closed; for any number of threads."""

    def __init__(self) -> None:
        self._file = TemporaryFile()  # noqa: SIM115 - closed by close()
        self._places: dict[str, tuple[int, int]] = {}
        self._end = 0
        self._lock = Lock()

    def add(self, name: str, data: bytes) -> None:
        """Keep a file."""
        with self._lock:
            self._file.seek(self._end)
            self._file.write(data)
            self._places[name] = self._end, len(data)
            self._end += len(data)

    def read(self, name: str) -> bytes | None:
        """Return a file; None where there is none of that name."""
        with self._lock:
            start, length = self._places.get(name, (0, 0))
            self._file.seek(start)
            return self._file.read(length) or None

    def address(self, name: str) -> str | None:
        """Return a JPEG as a `data:` address; None where there is none of that name."""
        data = self.read(name)
        return None if data is None else data_address(data)

    def close(self) -> None:
        """Let all files go."""
        self._file.close()


def small_picture(pixels: Pixels, side: int = SIDE) -> bytes:
    """Return a picture as a JPEG of so many pixels at most on its longer side."""
    height, width = pixels.shape[:2]
    size = fitted_size(width, height, side)
    small = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
    return as_jpeg(np.asarray(small), _QUALITY)
