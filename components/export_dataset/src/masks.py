"""Masks: the part of an image to train on; white for all of it."""

import io
from dataclasses import dataclass
from typing import Final

from PIL import Image

from image_toolkit.images.decoding import image_header, pixels_of
from image_toolkit.images.image_errors import NotAnImageError
from image_toolkit.training.bad_rows import BadRowError

MASK: Final = "mask"
FOLDER: Final = "masks"
"""The folder of masks, for trainers that want them separate."""

PNG: Final = ".png"
_FORMATS: Final = {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP"}
_WHITE: Final = 255


@dataclass(frozen=True)
class Mask:
    """A greyscale image of the same size: 255 where the image is trained on, 0 where not.

    `png` is the file that most trainers take.
    """

    png: bytes

    def as_file(self, suffix: str) -> bytes:
        """Return a file with this suffix, for trainers that require the image's own."""
        if suffix == PNG:
            return self.png
        with Image.open(io.BytesIO(self.png)) as grey:
            return _encoded(grey, suffix)


def mask_of(data: bytes | None, width: int, height: int) -> Mask:
    """Return the mask in an image file, for an image of a size in pixels; all white for None.

    Raises:
        BadRowError: it cannot be decoded, or is of another size.
    """
    size = (width, height)
    if data is None:
        return Mask(_encoded(Image.new("L", size, _WHITE), PNG))
    try:
        header = image_header(data)
        grey = Image.fromarray(pixels_of(header, data)).convert("L")
    except NotAnImageError as error:
        message = f"the mask cannot be decoded: {error.message}"
        raise BadRowError(reason="bad_mask", message=message) from error
    if grey.size != size:
        message = f"the mask has {grey.width}x{grey.height} pixels, the image {width}x{height}"
        raise BadRowError(reason="bad_mask", message=message)
    return Mask(_encoded(grey, PNG))


def _encoded(grey: Image.Image, suffix: str) -> bytes:
    file = io.BytesIO()
    grey.save(file, _FORMATS[suffix], quality=95, lossless=True)
    return file.getvalue()
