"""From the bytes of a fetched image to the bytes of a training image: size, shape and format.

Upscaling, and downscaling by less than two, are bicubic; downscaling by more averages areas after a
DCT-scaled decode: within 0.99 SSIM of a Lanczos resize, in a fifth of the time. A JPEG that needs
no change keeps its compressed data, without metadata and without bytes after its end.
"""

import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from image_toolkit.images.decoding import image_header, pixels_of
from image_toolkit.images.image_errors import NotAnImageError
from image_toolkit.images.image_header import MAX_PIXELS, ImageHeader
from image_toolkit.images.jpeg import has_end, without_metadata

if TYPE_CHECKING:
    from numpy.typing import NDArray

ResizeMode = Literal["no", "keep_ratio", "center_crop", "border"]
EncodeFormat = Literal["jpg", "webp", "png"]

_AREA_FROM: Final = 2.0
_SQUARE: Final = 32  # side of the image that the perceptual hash is computed on
_WHITE: Final = (255, 255, 255)

cv2.setNumThreads(1)  # the caller runs one image per thread


class UnwantedImageError(Exception):
    """An image that the user asked to leave out; `reason`: `too_small` or `aspect_ratio`."""

    def __init__(self, *, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True)
class Rendered:
    """An image as it goes into the dataset. Sizes are in pixels, after EXIF orientation."""

    data: bytes
    width: int
    height: int
    original_width: int
    original_height: int
    phash: str | None


@dataclass(frozen=True)
class Rendering:
    """How every image is rendered.

    `keep_ratio` scales the shorter side to `image_size`; `center_crop` also crops the longer side
    to it; `border` scales the longer side and pads to a white square. `quality` is for jpg and
    webp.
    """

    image_size: int = 512
    resize_mode: ResizeMode = "keep_ratio"
    resize_only_if_bigger: bool = True
    encode_format: EncodeFormat = "jpg"
    quality: int = 95
    min_image_size: int = 256
    max_aspect_ratio: float = 2.5
    max_pixels: int = MAX_PIXELS
    decode_kept: bool = True
    """Also decode JPEGs that are kept unchanged: finds damaged ones, and yields their hash."""

    def render(self, data: bytes) -> Rendered:
        """Return the training image made from `data`.

        Raises:
            NotAnImageError: see `decoding.image_header` and `decoding.pixels_of`.
            UnwantedImageError: too small, or too narrow.
        """
        header = image_header(data, max_pixels=self.max_pixels)
        width, height = header.size
        self._check_shape(width, height)
        if not self._changes_size(width, height):
            kept = self._kept(header, data)
            if kept is not None:
                return Rendered(kept[0], width, height, width, height, kept[1])
        least = self._least_side(width, height)
        pixels = self._resize(pixels_of(header, data, target_side=least), width, height)
        made = encode(pixels, self.encode_format, self.quality)
        return Rendered(made, pixels.shape[1], pixels.shape[0], width, height, phash(pixels))

    def _check_shape(self, width: int, height: int) -> None:
        short, long = sorted((width, height))
        if short < self.min_image_size:
            message = f"{width}x{height} < {self.min_image_size}"
            raise UnwantedImageError(reason="too_small", message=message)
        if long > short * self.max_aspect_ratio:
            message = f"{width}x{height}: ratio {long / short:.2f} > {self.max_aspect_ratio:g}"
            raise UnwantedImageError(reason="aspect_ratio", message=message)

    def _side(self, width: int, height: int) -> int:
        """Return the side that is scaled to `image_size`."""
        return max(width, height) if self.resize_mode == "border" else min(width, height)

    def _changes_size(self, width: int, height: int) -> bool:
        if self.resize_mode == "no":
            return False
        if self.resize_only_if_bigger and self._side(width, height) <= self.image_size:
            return False
        if self.resize_mode == "keep_ratio":
            return min(width, height) != self.image_size
        return (width, height) != (self.image_size, self.image_size)

    def _least_side(self, width: int, height: int) -> int | None:
        """Return how small the shorter side may be decoded without loss in the resize."""
        if not self._changes_size(width, height):
            return None
        scale = self.image_size / self._side(width, height)
        return int(2 * scale * min(width, height)) or None

    def _kept(self, header: ImageHeader, data: bytes) -> tuple[bytes, str | None] | None:
        """Return a JPEG that can be kept, with its hash; None if it must be re-encoded."""
        if self.encode_format != "jpg" or not header.is_plain:
            return None
        try:
            bare = without_metadata(data)
            if not self.decode_kept and has_end(data):
                return bare, None
            return bare, phash(pixels_of(header, bare, target_side=_SQUARE, strict=True))
        except (ValueError, NotAnImageError):
            return None

    def _resize(self, pixels: "NDArray[np.uint8]", width: int, height: int) -> "NDArray[np.uint8]":
        """Return decoded pixels of a `width` x `height` image in their final size and shape."""
        if not self._changes_size(width, height):
            return pixels
        size = self.image_size
        if self.resize_mode == "center_crop":
            return scale_to(_middle_square(pixels), size, size)
        scale = size / self._side(width, height)
        new = max(1, round(width * scale)), max(1, round(height * scale))
        scaled = scale_to(pixels, *new)
        return _padded(scaled, size) if self.resize_mode == "border" else scaled


def scale_to(pixels: "NDArray[np.uint8]", width: int, height: int) -> "NDArray[np.uint8]":
    """Return the pixels resized to `width` x `height`."""
    reduction = min(pixels.shape[1] / width, pixels.shape[0] / height)
    method = cv2.INTER_AREA if reduction >= _AREA_FROM else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=method), np.uint8)


def encode(pixels: "NDArray[np.uint8]", encode_format: EncodeFormat, quality: int) -> bytes:
    """Return RGB pixels as a JPEG (4:2:0), WebP or lossless PNG file without metadata."""
    if encode_format == "jpg":
        made: bytes = simplejpeg.encode_jpeg(
            np.ascontiguousarray(pixels), quality=quality, colorsubsampling="420"
        )
        return made
    file = io.BytesIO()
    if encode_format == "webp":
        Image.fromarray(pixels).save(file, "WEBP", quality=quality)
    else:
        Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def phash(pixels: "NDArray[np.uint8]") -> str:
    """Return the perceptual hash: 64 bits in hexadecimal; similar images share most of them.

    The signs of the 8x8 lowest frequencies against their median, as in ImageHash's `phash`.
    """
    grey = cv2.cvtColor(_halved(pixels), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_SQUARE, _SQUARE), interpolation=cv2.INTER_AREA)
    frequencies = np.asarray(cv2.dct(small.astype(np.float32)))[:8, :8].copy()
    frequencies[0] *= np.sqrt(2)  # OpenCV's transform is orthonormal, ImageHash's is not
    frequencies[:, 0] *= np.sqrt(2)
    lower, upper = np.sort(frequencies, axis=None)[31:33]  # np.median takes five times as long
    bits = frequencies > (lower + upper) / 2
    return np.packbits(bits).tobytes().hex()


def _halved(pixels: "NDArray[np.uint8]") -> "NDArray[np.uint8]":
    """Return large pixels at half size: the fastest first step towards a small image."""
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    if min(height, width) < 4 * _SQUARE:
        return pixels
    even = pixels[: 2 * height, : 2 * width]
    return np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def sha256(data: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _middle_square(pixels: "NDArray[np.uint8]") -> "NDArray[np.uint8]":
    height, width = pixels.shape[:2]
    side = min(width, height)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


def _padded(pixels: "NDArray[np.uint8]", side: int) -> "NDArray[np.uint8]":
    height, width = pixels.shape[:2]
    square = np.full((side, side, 3), _WHITE, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = pixels
    return square
