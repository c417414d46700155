"""The images of rows: original bytes and thumbnails."""

import threading
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from cachetools import LRUCache

from fondant_spec.dataset.layout import partition_file
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.dataset.partitions import open_partition
from fondant_spec.errors import InvalidArgumentError
from image_toolkit.images.decoding import image_header, pixels_of
from image_toolkit.images.rendering import encode, scale_to
from image_toolkit.images.small_pictures import fitted_size

IMAGE: Final = "image"
SIDE: Final = 384
"""Longer side of a thumbnail in pixels, as large as the gallery shows it on a high-density screen.
"""

_THUMBNAIL_BYTES: Final = 64 << 20
_RAW_BYTES: Final = 48 << 20
_QUALITY: Final = 82

SHOWN_AS_THEY_ARE: Final = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
"""Formats that are sent to a browser unchanged; others are sent as JPEG."""


class Pictures:
    """Reads and shrinks images, and caches the latest. Thread-safe.

    `side` is the longer side of a thumbnail, in pixels.
    """

    def __init__(self, side: int = SIDE) -> None:
        self._side = side
        self._thumbnails: LRUCache[tuple[str, str, str], bytes] = LRUCache(_THUMBNAIL_BYTES, len)
        self._raw: LRUCache[tuple[str, str, int], pa.Table] = LRUCache(
            _RAW_BYTES, lambda table: int(table.nbytes)
        )
        self._lock = threading.Lock()
        self._reading = threading.Lock()  # one row group at a time: each takes its share of memory

    def thumbnail(self, manifest: Manifest, row_id: str) -> bytes:
        """Return a row's image as a small JPEG.

        Raises:
            InvalidDatasetError: its file is missing or broken.
            InvalidArgumentError: there is no such row, or it has no image.
            NotAnImageError: it cannot be decoded.
        """
        known = (manifest.location, manifest.digest, row_id)
        with self._lock:
            made = self._thumbnails.get(known)
        if made is None:
            made = _shrunk(self.original(manifest, row_id), self._side)
            with self._lock:
                self._thumbnails[known] = made
        return made

    def original(self, manifest: Manifest, row_id: str) -> bytes:
        """Return the bytes of a row's image, as they are in the dataset.

        Raises:
            InvalidDatasetError: their file is missing or broken.
            InvalidArgumentError: there is no such row, or it has no image.
        """
        location = manifest.fields[IMAGE].location if IMAGE in manifest.fields else ""
        for partition in manifest.partitions:
            first, last = partition.first_id, str(partition.last_id)
            if first is not None and first <= row_id <= last:
                data = self._find(
                    partition_file(location, partition.name), partition.sha256, row_id
                )
                if data is not None:
                    return data
        msg = f"row {row_id} has no image."
        raise InvalidArgumentError(msg)

    def shown(self, manifest: Manifest, row_id: str) -> tuple[bytes, str]:
        """Return a row's image in a format that browsers can show, and its media type."""
        data = self.original(manifest, row_id)
        header = image_header(data)
        if header.format in SHOWN_AS_THEY_ARE:
            return data, SHOWN_AS_THEY_ARE[header.format]
        return encode(pixels_of(header, data), "jpg", 95), "image/jpeg"

    def _find(self, path: str, sha256: str, row_id: str) -> bytes | None:
        with self._reading:
            file = open_partition(path, ["id", IMAGE])
            start = pc.index(file.read(columns=["id"]).column("id"), row_id).as_py()
            for group in range(file.num_row_groups if start >= 0 else 0):
                rows = file.metadata.row_group(group).num_rows
                if start < rows:
                    known = (path, sha256, group)
                    table = self._raw.get(known)
                    if table is None:
                        table = file.read_row_group(group, columns=[IMAGE])
                        if table.nbytes <= _RAW_BYTES:
                            self._raw[known] = table
                    value = table.column(IMAGE)[start].as_py()
                    return None if value is None else bytes(value)
                start -= rows
        return None


def _shrunk(data: bytes, side: int) -> bytes:
    header = image_header(data)
    size = fitted_size(*header.size, side)
    pixels = pixels_of(header, data, target_side=min(size))
    return encode(pixels if size == header.size else scale_to(pixels, *size), "jpg", _QUALITY)
