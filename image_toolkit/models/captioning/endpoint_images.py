"""Images as a caption server is sent them: no larger than it looks at, as JPEGs in `data:` URLs."""

import io
from math import sqrt
from typing import Final

from PIL import Image

from image_toolkit.images.decoding import decode_image, image_header
from image_toolkit.images.small_pictures import data_address

_QUALITY: Final = 90


class EndpointImages:
    """Makes a `data:` URL of an image, with `max_pixels` at most and its aspect ratio kept.

    A server scales to its model's own budget in any case, one image after the other; what it is
    sent beyond that is read, decoded and thrown away there.
    """

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels

    def __call__(self, data: bytes) -> str:
        """Return the URL; called in many threads at once.

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
    """Return an RGB image as a JPEG in a URL."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return data_address(file.getvalue())
