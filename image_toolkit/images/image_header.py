"""The header of an image file, read without decoding its pixels."""

import io
import re
import warnings
from dataclasses import dataclass
from importlib import import_module
from typing import Final, Literal

from PIL import Image

from image_toolkit.images.colour_profiles import MAX_PROFILE_BYTES, is_srgb
from image_toolkit.images.image_errors import NotAnImageError
from image_toolkit.images.jpeg_scans import lacks_scans
from image_toolkit.images.orientation import TURNED, orientation, told_first
from image_toolkit.images.structure import MOST_SCANNED, Structure


def _heif() -> tuple[str, ...]:
    """Enable HEIF in Pillow, if a package for it is installed."""
    for package in ("pi_heif", "pillow_heif"):
        try:
            module = import_module(package)
        except ImportError:
            continue
        module.register_heif_opener(thumbnails=False)
        return ("HEIF",)
    return ()


MAX_PIXELS: Final = 64_000_000
"""The default limit on width times height: 192 MB of pixels; cameras make 24 to 61 million."""

_HEIF: Final = _heif()
_WHY_NO_HEIF: Final = "it is broken" if _HEIF else "the package pi-heif is missing; install it"

FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", *_HEIF)
"""The formats that are decoded; HEIF if a decoder for it is installed.

Never SVG, EPS, PSD or TIFF: they are programs, or containers for anything."""

JPEGS: Final = ("JPEG", "MPO")

_NOT_READ: Final = (
    (re.compile(rb"....ftyp(?:hei|mif1|msf1)"), f"HEIF: {_WHY_NO_HEIF}"),
    (re.compile(rb"\xff\x0a|\x00{3}\x0cJXL "), "JPEG XL, which is not read; convert it"),
    (re.compile(rb"II\*\x00|MM\x00\*"), "TIFF, which is not read; convert it"),
    (re.compile(rb"BM.{4}\x00{4}", re.DOTALL), "BMP, which is not read; convert it"),
)

_STILL: Final = ("GIF", "AVIF", "HEIF")  # formats whose images count as still, unchecked

# Pillow warns about sizes between its own limit and twice that (`max_pixels` decides here), and
# about faulty metadata. Images from the web would fill the log.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


@dataclass(frozen=True)
class ImageHeader:
    """The header of an image file.

    `width` and `height` are in pixels, as displayed; `turned` is the EXIF orientation, 1 to 8, that
    maps the stored pixels to the display. `profile` is the colour profile, "" if the file has none.
    `animated` is only known for PNG and WebP. `isolated`: decode it in another process.
    """

    format: str
    mode: str
    width: int
    height: int
    turned: int = 1
    profile: Literal["", "sRGB", "other"] = ""
    transparent: bool = False
    progressive: bool = False
    animated: bool = False
    scans: int = 1
    isolated: bool = False

    @property
    def pixels(self) -> int:
        """The number of pixels."""
        return self.width * self.height

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, as displayed."""
        return self.width, self.height

    @property
    def is_plain(self) -> bool:
        """Whether it is a JPEG that needs no conversion: upright, and sRGB or grey."""
        usual = self.format == "JPEG" and self.mode in ("RGB", "L") and self.turned == 1
        return usual and self.profile != "other"


def read_header(data: bytes, structure: Structure, max_pixels: int) -> ImageHeader:
    """Return the header of an image file.

    Raises:
        NotAnImageError: not an image, an unsupported format, more than `max_pixels` or than a
            decoder should process, or a progressive JPEG that was cut off between scans.
    """
    if structure.frame is not None:
        _check_size(structure.frame[1:], structure.scans, max_pixels)
        return ImageHeader("JPEG", *structure.frame, scans=structure.scans)
    if structure.size is not None:
        _check_size(structure.size, structure.scans, max_pixels)
    image = open_image(told_first(data) if data.startswith(b"\x89PNG") else data)
    _check_size(image.size, structure.scans, max_pixels)
    progressive = bool(image.info.get("progressive")) and image.format in JPEGS
    if progressive and lacks_scans(data):
        message = "JPEG: the last of its scans are missing; it would be blurred"
        raise NotAnImageError(reason="truncated", message=message)
    turned = orientation(image)
    width, height = image.size
    animated = image.format not in _STILL and getattr(image, "n_frames", 1) > 1
    return ImageHeader(
        format=image.format or "",
        mode=image.mode,
        width=height if turned in TURNED else width,
        height=width if turned in TURNED else height,
        turned=turned,
        profile=_profile(image),
        transparent="transparency" in image.info,
        progressive=progressive,
        animated=animated,
        scans=structure.scans,
    )


def open_image(data: bytes) -> Image.Image:
    """Return the image in `data`, not yet decoded.

    Raises:
        NotAnImageError: not an image, or an unsupported format.
    """
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise NotAnImageError(reason="too_many_pixels", message=str(error)) from error
    except MemoryError as error:
        raise NotAnImageError(reason="too_complex", message="out of memory") from error
    except Exception as error:  # hostile headers raise nearly anything
        known = next((name for start, name in _NOT_READ if start.match(data)), None)
        message = known or f"not a {', '.join(FORMATS)} image but {_looks_like(data)}"
        raise NotAnImageError(reason="not_an_image", message=message) from error


def _looks_like(data: bytes) -> str:
    """Say what bytes that are not an image look like, without quoting any: they may be a secret."""
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"<"):
        return "a web page, or other markup"
    if start.isascii() and not any(byte < 9 for byte in start):  # noqa: PLR2004 - control characters
        return "text"
    return "something else, or a damaged one"


def _check_size(size: tuple[int, int], scans: int, max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        message = f"{width}x{height} is over {max_pixels} pixels"
        raise NotAnImageError(reason="too_many_pixels", message=message)
    if not width or not height:
        raise NotAnImageError(reason="not_an_image", message=f"{width}x{height} has no pixels")
    if scans > 1 and width * height * scans > MOST_SCANNED:
        message = f"JPEG: {scans} scans of {width}x{height} pixels are over {MOST_SCANNED}"
        raise NotAnImageError(reason="too_complex", message=message)


def _profile(image: Image.Image) -> Literal["", "sRGB", "other"]:
    profile = image.info.get("icc_profile")
    if not profile:
        return ""
    if len(profile) > MAX_PROFILE_BYTES:
        message = f"{image.format}: its colour profile has {len(profile)} bytes"
        raise NotAnImageError(reason="too_complex", message=message)
    return "sRGB" if is_srgb(profile) else "other"
