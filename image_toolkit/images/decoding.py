"""Untrusted bytes to pixels: the only place where images are decoded.

The result is 8-bit RGB, upright, in sRGB, on white: orientation, colour profiles, CMYK, 16 bits,
palettes and transparency are handled; of an animation, the first frame is taken. A JPEG that lacks
only its end marker is accepted; one that lacks image data is `truncated`.

Every image is bounded in three ways. Its parts and pixels are counted before a decoder sees it. If
that does not prove it cheap (unusual formats, huge images, many scans), another process decodes it,
which is killed when its time is up. And all that is being decoded at once, here or in decoder
processes, shares one memory budget. A worker process may refuse heavy images, those that need a
decoder process or much memory, and leave them to its parent.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from image_toolkit.images.decoder_pool import DECODERS
from image_toolkit.images.image_errors import NotAnImageError
from image_toolkit.images.image_header import MAX_PIXELS, ImageHeader, read_header
from image_toolkit.images.memory_budget import MemoryBudget
from image_toolkit.images.pixel_decoding import decode, loads, memory_of
from image_toolkit.images.structure import structure_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

MEMORY_BYTES: Final = 20 * MAX_PIXELS
"""The budget for all decoding of a process: what the largest image takes."""

_CHEAP_PIXELS: Final = 25_000_000  # 0.75 s as PNG
_CHEAP_SCANNED: Final = 20 * _CHEAP_PIXELS

_memory: Final = MemoryBudget(MEMORY_BYTES)


class TooHeavyError(Exception):
    """An image that this process leaves to another; see `decode_light_images_only`."""


class _Left:
    """What this process leaves to another: nothing, unless a limit is set."""

    heaviest: int | None = None

    def check(self, weight: int, *, isolated: bool) -> None:
        if self.heaviest is not None and (isolated or weight > self.heaviest):
            raise TooHeavyError


_left: Final = _Left()


def decode_light_images_only(memory_bytes: int) -> None:
    """From now on, raise TooHeavyError for images that need more memory or a decoder process."""
    _left.heaviest = memory_bytes


def image_header(data: bytes, *, max_pixels: int = MAX_PIXELS) -> ImageHeader:
    """Return the header of an image, without decoding its pixels.

    Raises:
        NotAnImageError: not an image, an unsupported format, more than `max_pixels`, more parts
            than an image has, or a progressive JPEG that was cut off between scans.
    """
    if not data:
        raise NotAnImageError(reason="empty", message="no bytes")
    structure = structure_of(data)
    if not structure.simple:
        _left.check(0, isolated=True)
        return replace(DECODERS.header(data, max_pixels), isolated=True)
    header = read_header(data, structure, max_pixels)
    scanned = header.pixels * header.scans
    cheap = header.pixels <= _CHEAP_PIXELS and scanned <= _CHEAP_SCANNED
    return header if cheap else replace(header, isolated=True)


def image_size(data: bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Return (width, height) in pixels as displayed; see `image_header`."""
    return image_header(data, max_pixels=max_pixels).size


def decode_image(
    data: bytes, *, max_pixels: int = MAX_PIXELS, target_side: int | None = None
) -> Image.Image:
    """Return the image in `data` as 8-bit RGB; see `pixels_of` for the arguments and errors."""
    return Image.fromarray(decode_pixels(data, max_pixels=max_pixels, target_side=target_side))


def decode_pixels(
    data: bytes, *, max_pixels: int = MAX_PIXELS, target_side: int | None = None
) -> "NDArray[np.uint8]":
    """Return the pixels in `data`; see `image_header` and `pixels_of`."""
    return pixels_of(image_header(data, max_pixels=max_pixels), data, target_side=target_side)


def pixels_of(
    header: ImageHeader, data: bytes, *, target_side: int | None = None, strict: bool = False
) -> "NDArray[np.uint8]":
    """Return the pixels of a file with this header: RGB, shape (height, width, 3).

    With `target_side`, a JPEG whose sides are at least twice as long may be decoded at a half, a
    quarter or an eighth of its size, with both sides still at least `target_side`: much faster, and
    about as good if the result is then scaled down to that side. With `strict`, a JPEG with any
    fault is an error.

    Raises:
        NotAnImageError: it cannot be decoded, is truncated, or takes too long.
    """
    weight = memory_of(header, target_side)
    _left.check(weight, isolated=header.isolated)
    with _memory.hold(weight):
        if header.isolated:
            return DECODERS.pixels(header, data, target_side=target_side, strict=strict)
        return decode(header, data, target_side=target_side, strict=strict)


def trainers_load(header: ImageHeader, data: bytes) -> bool:
    """Return whether Pillow, which is what trainers read with, has no complaint of a file.

    Raises:
        NotAnImageError: it takes too long.
    """
    with _memory.hold(memory_of(header)):
        return DECODERS.loads(data) if header.isolated else loads(data)
