"""One resize and one codec for all images that are compared.

Another resize alone changes FID by six, and JPEG artefacts do as much (Parmar et al., "On Aliased
Resizing", CVPR 2022): originals are usually JPEGs, while generated images are not.
"""

from typing import Final

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from image_toolkit.images.decoding import image_header, pixels_of

QUALITY: Final = 95
"""The JPEG quality that every image is encoded with, including generated ones: the compression of
the originals cannot be undone, so the others undergo it as well."""

Pixels = NDArray[np.uint8]


def standard_pixels(data: bytes, side: int) -> Pixels:
    """Return the central square of an image, resized to `side` pixels with antialiasing (bicubic).

    Raises:
        NotAnImageError: it cannot be decoded.
    """
    header = image_header(data)
    width, height = header.size
    pixels = pixels_of(header, data, target_side=2 * side if min(width, height) > side else None)
    height, width = pixels.shape[:2]
    cut = min(width, height)
    left, top = (width - cut) // 2, (height - cut) // 2
    box = (left, top, left + cut, top + cut)
    image = Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC, box)
    return np.asarray(image)


def as_jpeg(pixels: Pixels, quality: int = QUALITY) -> bytes:
    """Return RGB pixels as a JPEG (4:2:0) without metadata."""
    made: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(pixels), quality=quality, colorsubsampling="420"
    )
    return made
