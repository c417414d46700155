"""One resize and one codec for all images that are compared.

Another resize alone moves FID by six, and JPEG's traces do as much (Parmar et al., "On Aliased
Resizing", CVPR 2022): originals are JPEGs as a rule, and what a model generates is not.
"""

from typing import Final

import numpy as np

from image_toolkit.images.decoding import image_header, pixels_of
from image_toolkit.images.rendering import encode, scale_to

QUALITY: Final = 95
"""Of the JPEG that every image becomes, the generated ones too: what the originals have been
through cannot be undone, so the others go through it as well."""


def standard_look(data: bytes, side: int) -> bytes:
    """Return the middle square of an image as a JPEG of `side` pixels.

    Raises:
        NotAnImageError: it cannot be decoded.
    """
    header = image_header(data)
    return encode(square(pixels_of(header, data, target_side=2 * side), side), "jpg", QUALITY)


def square(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return the middle square of RGB pixels at `side` pixels."""
    height, width = pixels.shape[:2]
    cut = min(width, height)
    top, left = (height - cut) // 2, (width - cut) // 2
    middle = np.ascontiguousarray(pixels[top : top + cut, left : left + cut])
    return middle if cut == side else scale_to(middle, side, side)
