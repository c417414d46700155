"""How an image is to be turned, wherever its file says so, by the rules of those who train on it.

Trainers read with Pillow, which takes the orientation from EXIF (in a JPEG, a WebP, an AVIF; in a
PNG before or after its pixels, or as text), else from XMP. What is decoded here has to come out as
it does there.
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
"""Under which names Pillow keeps what of a JPEG may tell; most have neither."""

_PIXELS: Final = b"IDAT"
_TELLING: Final = frozenset({b"eXIf", b"tEXt", b"zTXt", b"iTXt"})


def orientation(image: Image.Image) -> int:
    """Return the orientation of an opened image, 1 to 8; 1 where it has none or nonsense.

    Of a PNG, one that was opened with what `told_first` returns.
    """
    if image.format == "JPEG" and not _READ & image.info.keys():
        return 1
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


def told_first(png: bytes) -> bytes:
    """Return a PNG with all that it says of itself before its pixels, and only the first of these.

    Where it says nothing after them it is returned as it is.
    """
    chunks = list(png_chunks(png))
    first = next((n for n, chunk in enumerate(chunks) if chunk.kind == _PIXELS), len(chunks))
    late = [chunk for chunk in chunks[first:] if chunk.kind in _TELLING]
    if not late:
        return png
    pixels = chunks[first].start
    told = [png[chunk.start : chunk.start + chunk.size + 12] for chunk in late]
    return b"".join([png[:pixels], *told, png[pixels : pixels + 8]])
