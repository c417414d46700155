"""Images as sent to a caption server: as small as it needs, as JPEGs in `data:` URLs."""

import io
from math import sqrt
from typing import Final

from PIL import Image

from image_toolkit.images.decoding import decode_image, image_header
from image_toolkit.images.small_pictures import data_address

_QUALITY: Final = 90


class EndpointImages:
    """Converts an image to a `data:` URL, with at most `max_pixels` and its aspect ratio kept.

    A server scales images to its model's own limit anyway, one after another; it would receive,
    decode and discard whatever exceeds that.
    """

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels

    def __call__(self, data: bytes) -> str:
        """Return the URL. Thread-safe.

        Raises:
            NotAnImageError: the image cannot be decoded.
        """
        width, height = image_header(data).size
        scale = min(1.0, sqrt(self._max_pixels / (width * height)))
        longest = max(1, min(self._max_pixels, int(max(width, height) * scale)))
        image = decode_image(data, target_side=longest)
        image.thumbnail((longest, longest), Image.Resampling.BICUBIC)
        return data_url(image)


def data_url(image: Image.Image) -> str:
    """Return an RGB image as a JPEG in a `data:` URL."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return data_address(file.getvalue())
