"""A spool of pictures on disk, until it is known which of them are needed."""

from tempfile import TemporaryFile
from threading import Lock
from typing import Final

import numpy as np
from PIL import Image

from image_toolkit.evaluation.standard_look import Pixels, as_jpeg
from image_toolkit.images.small_pictures import data_address, fitted_size

SIDE: Final = 160
"""The longer side of a picture on a page, in pixels."""

_QUALITY: Final = 80


class PictureSpool:
    """Keeps named files in one temporary file, deleted on close; thread-safe."""

    def __init__(self) -> None:
        self._file = TemporaryFile()  # noqa: SIM115 - closed by close()
        self._places: dict[str, tuple[int, int]] = {}
        self._end = 0
        self._lock = Lock()

    def add(self, name: str, data: bytes) -> None:
        """Add a file."""
        with self._lock:
            self._file.seek(self._end)
            self._file.write(data)
            self._places[name] = self._end, len(data)
            self._end += len(data)

    def read(self, name: str) -> bytes | None:
        """Return a file; None if there is none of that name."""
        with self._lock:
            start, length = self._places.get(name, (0, 0))
            self._file.seek(start)
            return self._file.read(length) or None

    def address(self, name: str) -> str | None:
        """Return a JPEG as a `data:` URL; None if there is none of that name."""
        data = self.read(name)
        return None if data is None else data_address(data)

    def close(self) -> None:
        """Delete all files."""
        self._file.close()


def small_picture(pixels: Pixels, side: int = SIDE) -> bytes:
    """Return a picture as a JPEG with a longer side of at most `side` pixels."""
    height, width = pixels.shape[:2]
    size = fitted_size(width, height, side)
    small = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
    return as_jpeg(np.asarray(small), _QUALITY)
