"""The orientation of an image, wherever its file stores it, as trainers would read it.

Trainers read with Pillow, which takes the orientation from EXIF (in a JPEG, a WebP, an AVIF; in a
PNG before or after its pixels, or as text), else from XMP. An image must come out here as it does
there.
"""

from typing import Final

from PIL import Image

from image_toolkit.images.structure import png_chunks

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
_READ: Final = frozenset({"exif", "xmp"})
"""Pillow's names for the parts of a JPEG that may hold an orientation; most have neither."""

_PIXELS: Final = b"IDAT"
_TELLING: Final = frozenset({b"eXIf", b"tEXt", b"zTXt", b"iTXt"})


def orientation(image: Image.Image) -> int:
    """Return the orientation of an opened image, 1 to 8; 1 if it has none or an invalid one.

    A PNG must have been opened from what `told_first` returns.
    """
    if image.format == "JPEG" and not _READ & image.info.keys():
        return 1
    try:
        # Not `PngImageFile.getexif`: it decodes every PNG to read what follows the pixels.
        value = Image.Image.getexif(image).get(_TAG, 1)
    except Exception:  # noqa: BLE001 - hostile metadata raises nearly anything
        return 1
    return int(value) if value in range(1, 9) else 1


def upright(image: Image.Image, turned: int) -> Image.Image:
    """Return an image with an orientation applied."""
    method = _TRANSPOSES.get(turned)
    return image if method is None else image.transpose(method)


def told_first(png: bytes) -> bytes:
    """Return a PNG with all its metadata before its pixels, and only the first chunk of pixels.

    A PNG without metadata after its pixels is returned unchanged.
    """
    chunks = list(png_chunks(png))
    first = next((n for n, chunk in enumerate(chunks) if chunk.kind == _PIXELS), len(chunks))
    late = [chunk for chunk in chunks[first:] if chunk.kind in _TELLING]
    if not late:
        return png
    pixels = chunks[first].start
    told = [png[chunk.start : chunk.start + chunk.size + 12] for chunk in late]
    return b"".join([png[:pixels], *told, png[pixels : pixels + 8]])
