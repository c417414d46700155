"""Untrusted bytes to pixels: the one place where images are decoded.

What comes out is 8-bit RGB, upright, in sRGB, over white: orientation, colour profiles, CMYK,
16-bit, palettes and transparency are taken care of; of an animation it is the first frame. The
pixel count is checked in the header, before anything is decoded.

JPEG is decoded by libjpeg-turbo (`simplejpeg`), everything else, and every unusual JPEG, by Pillow.
A JPEG that only lacks its end marker is accepted; one that lacks image data is `truncated`.
"""

import io
import re
import warnings
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Final

import numpy as np
import simplejpeg
from PIL import Image, ImageCms

from image_toolkit.images.jpeg import JPEG_END, has_end
from image_toolkit.images.jpeg_scans import lacks_scans
from image_toolkit.images.orientation import TURNED, has_late_metadata, orientation, upright

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _heif() -> tuple[str, ...]:
    """Have Pillow read HEIF, if there is a package for it."""
    for package in ("pi_heif", "pillow_heif"):
        try:
            import_module(package).register_heif_opener(thumbnails=False)
        except ImportError:
            continue
        return ("HEIF",)
    return ()


MAX_PIXELS: Final = 64_000_000
"""The default cap on width times height: 192 MB of pixels; cameras make 24 to 61 million."""

FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", *_heif())
"""What is decoded; HEIF where a reader of it is installed.

Never SVG, EPS, PSD or TIFF: they are programs, or hold anything."""

_NOT_READ: Final = (
    (re.compile(rb"....ftyp(?:hei|mif1|msf1)"), "HEIF: broken, or the package pi-heif is missing"),
    (re.compile(rb"\xff\x0a|\x00{3}\x0cJXL "), "JPEG XL, which is not read; convert it"),
    (re.compile(rb"II\*\x00|MM\x00\*"), "TIFF, which is not read; convert it"),
)

# Pillow warns between its own limit and twice that; `max_pixels` refuses, so that is noise.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class NotAnImageError(Exception):
    """Bytes that cannot be had as an image; `reason` is a short code for the reject table.

    Reasons: `empty`, `not_an_image`, `too_many_pixels`, `truncated`.
    """

    def __init__(self, *, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def image_size(data: bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Return (width, height) in pixels as displayed, from the header alone.

    Raises:
        NotAnImageError: no image, a format that is not accepted, or more than `max_pixels`.
    """
    return displayed_size(open_image(data, max_pixels=max_pixels))


def decode_image(
    data: bytes, *, max_pixels: int = MAX_PIXELS, target_side: int | None = None
) -> Image.Image:
    """Return the image in `data` as 8-bit RGB; see `decode_pixels` for the arguments and errors."""
    return Image.fromarray(decode_pixels(data, max_pixels=max_pixels, target_side=target_side))


def decode_pixels(
    data: bytes, *, max_pixels: int = MAX_PIXELS, target_side: int | None = None
) -> "NDArray[np.uint8]":
    """Return the pixels in `data`: RGB, shape (height, width, 3).

    With `target_side`, a JPEG whose sides are at least twice that may come out at a half, a quarter
    or an eighth of its size, both sides still at least `target_side`: much faster, and about as
    good as it gets if the result is scaled down to that side.

    Raises:
        NotAnImageError: no image, a format that is not accepted, too many pixels, or cut short.
    """
    return decode_opened(open_image(data, max_pixels=max_pixels), data, target_side=target_side)


def open_image(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Return the image in `data` with only its header read, its size checked.

    A PNG that says something of itself after its pixels is decoded to learn how it is turned.

    Raises:
        NotAnImageError: no image, a format that is not accepted, more than `max_pixels`, or a
            progressive JPEG that was cut between its scans.
    """
    if not data:
        raise NotAnImageError(reason="empty", message="no bytes")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise NotAnImageError(reason="too_many_pixels", message=str(error)) from error
    except Exception as error:  # hostile headers raise nearly anything
        known = next((name for start, name in _NOT_READ if start.match(data)), None)
        message = known or f"not a {', '.join(FORMATS)} image but {_looks_like(data)}"
        raise NotAnImageError(reason="not_an_image", message=message) from error
    width, height = image.size
    if width * height > max_pixels:
        message = f"{width}x{height} is over {max_pixels} pixels"
        raise NotAnImageError(reason="too_many_pixels", message=message)
    if not width or not height:
        raise NotAnImageError(reason="not_an_image", message=f"{width}x{height} has no pixels")
    if image.info.get("progressive") and lacks_scans(data):
        message = "JPEG: the last of its scans are missing; it would be blurred"
        raise NotAnImageError(reason="truncated", message=message)
    if image.format == "PNG" and has_late_metadata(data):
        _load(image)
    return image


def _looks_like(data: bytes) -> str:
    """Return what bytes that are no image seem to be, and none of them: they may be a secret."""
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"<"):
        return "a web page, or other markup"
    if start.isascii() and not any(byte < 9 for byte in start):  # noqa: PLR2004 - control characters
        return "text"
    return "something else, or a damaged one"


def _load(image: Image.Image) -> None:
    """Decode an image, or raise `NotAnImageError`."""
    try:
        image.load()
    except Exception as error:  # hostile bytes raise nearly anything
        reason = "truncated" if "truncated" in str(error) else "not_an_image"
        raise NotAnImageError(reason=reason, message=f"{image.format}: {error}") from error


def displayed_size(image: Image.Image) -> tuple[int, int]:
    """Return (width, height) of an opened image as it is to be shown, turned as it asks for."""
    width, height = image.size
    return (height, width) if orientation(image) in TURNED else (width, height)


def is_plain(image: Image.Image) -> bool:
    """Return whether an opened image is a JPEG that shows as it is: upright, sRGB or grey."""
    profile = image.info.get("icc_profile")
    usual = image.format == "JPEG" and image.mode in ("RGB", "L") and orientation(image) == 1
    return usual and (profile is None or is_srgb(profile))


def decode_opened(
    image: Image.Image, data: bytes, *, target_side: int | None = None
) -> "NDArray[np.uint8]":
    """Return the pixels of an image that `open_image` made of `data`; see `decode_pixels`."""
    if image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L"):
        pixels = _decode_jpeg(data, target_side)
        if pixels is not None:
            return _finish(image, pixels)
    try:
        image.load()
        turned = upright(_to_8_bit(image), orientation(image))
        return np.asarray(_over_white(_to_srgb(turned, image.info.get("icc_profile"))))
    except Exception as error:  # hostile bytes raise nearly anything
        reason = "truncated" if "truncated" in str(error) else "not_an_image"
        raise NotAnImageError(reason=reason, message=f"{image.format}: {error}") from error


def _decode_jpeg(data: bytes, target_side: int | None) -> "NDArray[np.uint8] | None":
    """Return the pixels as stored, or None where Pillow, which forgives more, has to try.

    Raises:
        NotAnImageError: image data is missing.
    """
    ended = data if has_end(data) else data + JPEG_END
    side = target_side or 0
    try:
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            ended, min_height=side, min_width=side, min_factor=2 if side else 1
        )
    except ValueError as error:
        if "premature end" in str(error).lower():
            raise NotAnImageError(reason="truncated", message=f"JPEG: {error}") from error
        return None
    return pixels


def _finish(image: Image.Image, pixels: "NDArray[np.uint8]") -> "NDArray[np.uint8]":
    """Return decoded pixels upright and in sRGB, by what the header of `image` says of them."""
    profile = image.info.get("icc_profile") if image.mode == "RGB" else None
    turned = orientation(image)
    if turned == 1 and (profile is None or is_srgb(profile)):
        return pixels
    return np.asarray(_to_srgb(upright(Image.fromarray(pixels), turned), profile))


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Return an image of 8 bits a channel; 16-bit values are scaled down, not cut off."""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.uint32)
        return Image.fromarray((values >> 8).clip(0, 255).astype(np.uint8))
    if image.mode == "P":
        return image.convert("RGBA" if "transparency" in image.info else "RGB")
    if image.mode in ("1", "LA", "PA") or (image.mode == "L" and "transparency" in image.info):
        return image.convert("L" if image.mode == "1" else "RGBA")
    if image.mode == "RGB" and "transparency" in image.info:
        return image.convert("RGBA")
    return image


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return the image in sRGB; a profile that is broken, or of another mode, is left aside."""
    target = "RGBA" if image.mode == "RGBA" else "RGB"
    transform = None if profile is None else _transform(profile, image.mode, target)
    if transform is not None:
        converted = ImageCms.applyTransform(image, transform)
        if converted is not None:
            return converted
    return image if image.mode == target else image.convert(target)


def _over_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


@lru_cache(maxsize=64)
def is_srgb(profile: bytes) -> bool:
    """Return whether a profile calls itself sRGB: then there is nothing to convert."""
    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return False
    return "srgb" in name.lower()


@lru_cache(maxsize=64)
def _transform(profile: bytes, mode: str, target: str) -> ImageCms.ImageCmsTransform | None:
    if is_srgb(profile):
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, target)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
