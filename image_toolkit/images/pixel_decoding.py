"""From a file and its header to pixels, in this process: 8-bit RGB, upright, in sRGB, on white.

JPEG is decoded by libjpeg-turbo (`simplejpeg`); everything else, and every unusual JPEG, by Pillow.
All conversions after Pillow's decoding are done in strips, so that there is never a second full
image in memory.
"""

from typing import TYPE_CHECKING, Final

import numpy as np
import simplejpeg
from PIL import Image

from image_toolkit.images.colour_profiles import to_srgb
from image_toolkit.images.image_errors import NotAnImageError, failed
from image_toolkit.images.image_header import JPEGS, ImageHeader, open_image
from image_toolkit.images.jpeg import JPEG_END, has_end
from image_toolkit.images.orientation import upright

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STRIP_PIXELS: Final = 1 << 20

# Blocks large enough for the system to reclaim at once. Pillow's own of 16 MB stay with the thread
# that freed them: with many threads, far more than any memory budget.
Image.core.set_block_size(64 << 20)  # type: ignore[attr-defined]

_PILLOW_BYTES: Final = 20
"""Bytes per pixel, at most: WebP is held by its decoder (8), twice in transit (8), and as RGB."""

_JPEG_BYTES: Final = 8  # as RGB, rotated
_COEFFICIENT_BYTES: Final = 6  # of a progressive JPEG: two per colour, whatever the output size


def decode(
    header: ImageHeader, data: bytes, *, target_side: int | None = None, strict: bool = False
) -> "NDArray[np.uint8]":
    """Return the pixels of a file, shape (height, width, 3); see `decoding.pixels_of`."""
    pixels = _decode_jpeg(data, target_side, strict=strict) if _is_turbo(header) else None
    made = _decode_any(header, data) if pixels is None else _finish(header, pixels, data)
    fractions = range(1, 9) if target_side else (8,)
    if not any(made.shape[:2] == _eighths(header, number) for number in fractions):
        message = f"{header.format}: {header.width}x{header.height}, and has other pixels"
        raise NotAnImageError(reason="not_an_image", message=message)
    return made


def _decode_any(header: ImageHeader, data: bytes) -> "NDArray[np.uint8]":
    try:
        image = open_image(data)
        image.load()
        profile = image.info.get("icc_profile")
        return _in_strips(upright(image, header.turned), profile)
    except Exception as error:  # hostile bytes raise nearly anything
        raise failed(header.format, error) from error


def loads(data: bytes) -> bool:
    """Return whether Pillow, with which trainers read, loads a file without complaint.

    It is stricter than `decode`: it refuses a JPEG without its end marker.
    """
    try:
        open_image(data).load()
    except Exception:  # noqa: BLE001 - hostile bytes raise nearly anything
        return False
    return True


def memory_of(header: ImageHeader, target_side: int | None = None) -> int:
    """Return about how many bytes decoding takes at most, without the file itself."""
    if not _is_turbo(header):
        return _PILLOW_BYTES * header.pixels
    side = min(header.size)
    number = next((n for n in range(1, 5) if n * side >= 8 * (target_side or side)), 8)
    coefficients = _COEFFICIENT_BYTES if header.progressive else 0
    return header.pixels * _JPEG_BYTES * number**2 // 64 + header.pixels * coefficients


def _eighths(header: ImageHeader, number: int) -> tuple[int, int]:
    """Return the height and width of an image scaled to a number of eighths."""
    return -(-header.height * number // 8), -(-header.width * number // 8)


def _is_turbo(header: ImageHeader) -> bool:
    return header.format in JPEGS and header.mode in ("RGB", "L")


def _decode_jpeg(
    data: bytes, target_side: int | None, *, strict: bool
) -> "NDArray[np.uint8] | None":
    """Return the pixels as stored; None if Pillow, which is more tolerant, must try.

    Raises:
        NotAnImageError: image data is missing, or there is any fault if `strict`.
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
        if strict:
            raise NotAnImageError(reason="not_an_image", message=f"JPEG: {error}") from error
        return None
    return pixels


def _finish(header: ImageHeader, pixels: "NDArray[np.uint8]", data: bytes) -> "NDArray[np.uint8]":
    """Convert decoded pixels to upright sRGB, according to the header."""
    other = header.profile == "other"
    if header.turned == 1 and not other:
        return pixels
    profile = open_image(data).info.get("icc_profile") if other else None
    image = Image.fromarray(pixels[..., 0] if header.mode == "L" else pixels)
    return _in_strips(upright(image, header.turned), profile)


def _in_strips(image: Image.Image, profile: bytes | None) -> "NDArray[np.uint8]":
    """Return the pixels of a decoded image as RGB."""
    width, height = image.size
    rows = max(1, _STRIP_PIXELS // width)
    if height <= rows:
        return np.asarray(_as_rgb(image, profile))
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        pixels[top : top + rows] = np.asarray(_as_rgb(strip, profile))
    return pixels


def _as_rgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    return _over_white(to_srgb(_to_8_bit(image), profile))


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Convert to 8 bits per channel; 16-bit values are scaled down, not clipped."""
    see_through = "transparency" in image.info
    if image.mode.startswith("I"):
        return _from_16_bit(image)
    if image.mode in ("1", "L"):
        return image.convert("LA" if see_through else "L")
    if image.mode in ("P", "RGB"):
        return image.convert("RGBA" if see_through else "RGB")
    return image.convert("RGBA") if image.mode == "PA" else image


def _from_16_bit(image: Image.Image) -> Image.Image:
    """Convert 16-bit grey to 8 bits; one of its values may be transparent."""
    values = np.asarray(image).astype(np.uint32)
    grey = Image.fromarray((values >> 8).clip(0, 255).astype(np.uint8))
    if "transparency" in image.info:
        opaque = values != image.info["transparency"]
        grey.putalpha(Image.fromarray(opaque.astype(np.uint8) * 255))
    return grey


def _over_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")
