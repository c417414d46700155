"""Image files, and parts of them."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def photo(
    seed: int,
    kind: str = "JPEG",
    mode: str = "RGB",
    size: tuple[int, int] = (40, 30),
    **options: object,
) -> bytes:
    """Return a file of smooth pixels, others for each seed."""
    pixels = np.random.default_rng(seed).integers(0, 255, (3, 4, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize(size).convert(mode).save(file, kind, **options)
    return file.getvalue()


def jpeg(image: Image.Image) -> bytes:
    """Return an image as the bytes of a JPEG file."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95)
    return file.getvalue()


def png_chunk(kind: bytes, data: bytes = b"") -> bytes:
    """Return a chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
