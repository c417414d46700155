"""ICC profiles: which are sRGB, and how the others are converted to it.

Both are cached by the profile's hash, within a memory limit: each image may bring its own profile.
"""

import hashlib
import io
from threading import Lock
from typing import Final

from cachetools import LRUCache, cached
from PIL import Image, ImageCms

MAX_PROFILE_BYTES: Final = 4 << 20
"""Profiles for printing presses have 2 MB."""

_NAMES: Final = 1024
_TRANSFORM_BYTES: Final = 64 << 20
_TABLE_BYTES: Final = 2 << 20  # of LittleCMS, whatever the size of the profile
_ERRORS: Final = (ImageCms.PyCMSError, OSError, ValueError, TypeError)


def _key(profile: bytes, *modes: str) -> tuple[bytes | str, ...]:
    return (hashlib.sha256(profile).digest(), *modes)


@cached(LRUCache(_NAMES), _key, Lock())
def is_srgb(profile: bytes) -> bool:
    """Return whether a profile calls itself sRGB, so that nothing needs converting."""
    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except _ERRORS:
        return False
    return "srgb" in name.lower()


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return the image in sRGB; a profile that is broken, or for another mode, is ignored."""
    if image.mode == "LA":  # unknown to LittleCMS
        grey, alpha = image.split()
        colours = to_srgb(grey, profile)
        colours.putalpha(alpha)
        return colours
    target = "RGBA" if image.mode == "RGBA" else "RGB"
    transform = None if profile is None else _transform(profile, image.mode, target)
    if transform is not None:
        converted = ImageCms.applyTransform(image, transform)
        if converted is not None:
            return converted
    return image if image.mode == target else image.convert(target)


@cached(LRUCache(_TRANSFORM_BYTES, lambda _: _TABLE_BYTES), _key, Lock())
def _transform(profile: bytes, mode: str, target: str) -> ImageCms.ImageCmsTransform | None:
    if is_srgb(profile):
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, target)
    except _ERRORS:
        return None
