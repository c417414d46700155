"""How an image is to be turned, wherever its file says so, by the rules of those who train on it.

Trainers read with Pillow, which takes the orientation from EXIF (in a JPEG, a WebP, an AVIF; in a
PNG before or after its pixels, or as text), else from XMP. What is decoded here has to come out as
it does there.
"""

import struct
from collections.abc import Iterator
from typing import Final

from PIL import Image

TURNED: Final = (5, 6, 7, 8)
"""The orientations that swap width and height."""

_TAG: Final = 0x0112
_TRANSPOSES: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PNG_HEADER: Final = 8
_TELLING: Final = frozenset({b"eXIf", b"tEXt", b"zTXt", b"iTXt"})


def orientation(image: Image.Image) -> int:
    """Return the orientation of an opened image, 1 to 8; 1 where it has none or nonsense.

    `has_late_metadata` finds images that have to be loaded first.
    """
    try:
        # Not `PngImageFile.getexif`, which decodes every PNG to look behind its pixels.
        value = Image.Image.getexif(image).get(_TAG, 1)
    except Exception:  # noqa: BLE001 - hostile metadata raises nearly anything
        return 1
    return int(value) if value in range(1, 9) else 1


def upright(image: Image.Image, turned: int) -> Image.Image:
    """Return an image as an orientation asks for."""
    method = _TRANSPOSES.get(turned)
    return image if method is None else image.transpose(method)


def has_late_metadata(data: bytes) -> bool:
    """Return whether a PNG says something of itself after its first pixels."""
    pixels = False
    for kind in _png_chunks(data):
        pixels = pixels or kind == b"IDAT"
        if pixels and kind in _TELLING:
            return True
    return False


def _png_chunks(data: bytes) -> Iterator[bytes]:
    position = _PNG_HEADER
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        yield kind
        position += length + 12
