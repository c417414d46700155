"""Cheap measures of an image's pixels.

`blur`, `brightness` and `aspect_ratio` are those of cleanvision (Apache-2.0,
https://github.com/cleanlab/cleanvision), up to differences in scaling.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from borders import border_share, without_border
from PIL import Image, ImageFilter

from image_toolkit.images.rendering import phash, sha256

Pixels = npt.NDArray[np.uint8]

_SIDE: Final = 256  # minimum of the shorter side, in pixels, for most measures
_BLUR_SIDE: Final = 64  # of the longer side, as in cleanvision
_BLUR_FACTOR: Final = 0.01
_LEAST_SPREAD: Final = 0.18
_LIGHT: Final = np.array([0.241, 0.691, 0.068])  # perceived brightness of RGB, squared
_FLAT: Final = 2  # tolerance between neighbours of one colour, after JPEG


@dataclass(frozen=True)
class Picture:
    """An image to measure: its file, and its pixels in RGB, shape (height, width, 3)."""

    data: bytes
    pixels: Pixels

    @cached_property
    def small(self) -> Pixels:
        """The pixels, downscaled by the largest integer that keeps the shorter side at 256 or more.

        It averages over squares of pixels, which is several times as fast as any other scaling.
        """
        height, width = self.pixels.shape[:2]
        factor = max(min(height, width) // _SIDE, 1)
        height, width = height // factor, width // factor
        even = self.pixels[: height * factor, : width * factor]
        return np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA), np.uint8)

    @cached_property
    def grey(self) -> Pixels:
        """The small pixels in greyscale."""
        return np.asarray(cv2.cvtColor(self.small, cv2.COLOR_RGB2GRAY), np.uint8)


def blur(picture: Picture) -> float:
    """Return cleanvision's sharpness of an image, from 0 (blurred) to 1.

    It is derived from the spread of its edges, and of its shades, at 64 pixels: strong contours
    at any original size.
    """
    height, width = picture.pixels.shape[:2]
    ratio = max(max(height, width) / _BLUR_SIDE, 1)
    size = max(int(width // ratio), 1), max(int(height // ratio), 1)
    grey = Image.fromarray(picture.grey).resize(size)
    edges = np.asarray(grey.filter(ImageFilter.FIND_EDGES)).std()
    shades = 1 - np.exp(-_BLUR_FACTOR * np.bincount(np.asarray(grey).ravel(), minlength=256).std())
    return float(min(1 - np.exp(-_BLUR_FACTOR * edges) + shades * (shades > _LEAST_SPREAD), 1))


def brightness(picture: Picture) -> float:
    """Return cleanvision's average brightness of an image, from 0 (black) to 1."""
    mean = np.array(cv2.mean(picture.small)[:3])
    return float(np.sqrt(_LIGHT @ mean**2) / 255)


def contrast(picture: Picture) -> float:
    """Return the standard deviation of the greyscale values, from 0 to 0.5 (RMS contrast)."""
    return float(cv2.meanStdDev(picture.grey)[1][0, 0] / 255)


def colourfulness(picture: Picture) -> float:
    """Return Hasler and Süsstrunk's measure (2003): 0 is grey, 15 slightly colourful, 82 very."""
    red, green, blue = cv2.split(picture.small)
    reddish = cv2.subtract(red, green, dtype=cv2.CV_16S)
    both = cv2.add(red, green, dtype=cv2.CV_16S)
    yellowish = cv2.subtract(both, cv2.add(blue, blue, dtype=cv2.CV_16S))  # twice the definition
    (mean_a, dev_a), (mean_b, dev_b) = cv2.meanStdDev(reddish), cv2.meanStdDev(yellowish)
    deviation = np.hypot(dev_a[0, 0], dev_b[0, 0] / 2)
    return float(deviation + 0.3 * np.hypot(mean_a[0, 0], mean_b[0, 0] / 2))


def is_grayscale(picture: Picture) -> bool:
    """Return whether all pixels are grey: equal red, green and blue."""
    red, green, blue = cv2.split(picture.pixels)
    return bool(cv2.norm(red, green, cv2.NORM_INF) == 0 == cv2.norm(green, blue, cv2.NORM_INF))


def flatness(picture: Picture) -> float:
    """Return the share of pixels that equal both their right and lower neighbours.

    Screenshots, charts and logos have large areas of one colour; photographs hardly any.
    """
    small = picture.small
    if min(small.shape[:2]) < 2:  # noqa: PLR2004 - a line has no neighbours on both sides
        return 1.0
    here = small[:-1, :-1]
    apart = cv2.max(cv2.absdiff(here, small[:-1, 1:]), cv2.absdiff(here, small[1:, :-1]))
    red, green, blue = cv2.split(apart)
    most = cv2.max(cv2.max(red, green), blue)
    return float(np.count_nonzero(most <= _FLAT) / most.size)


def aspect_ratio(picture: Picture) -> float:
    """Return cleanvision's ratio of the shorter to the longer side, from 0 to 1 (square)."""
    height, width = picture.pixels.shape[:2]
    return float(min(height, width) / max(height, width))


def mirrored_phash(picture: Picture) -> str:
    """Return the perceptual hash of the mirrored image."""
    return phash(np.asarray(cv2.flip(picture.pixels, 1), np.uint8))


MEASURES: Final[Mapping[str, tuple[Callable[[Picture], Any], pa.DataType]]] = {
    "blur": (blur, pa.float32()),
    "brightness": (brightness, pa.float32()),
    "contrast": (contrast, pa.float32()),
    "colourfulness": (colourfulness, pa.float32()),
    "is_grayscale": (is_grayscale, pa.bool_()),
    "flatness": (flatness, pa.float32()),
    "aspect_ratio": (aspect_ratio, pa.float32()),
    "phash": (lambda picture: phash(picture.pixels), pa.string()),
    "inner_phash": (lambda picture: phash(without_border(picture.pixels)), pa.string()),
    "mirrored_phash": (mirrored_phash, pa.string()),
    "border": (lambda picture: border_share(picture.pixels), pa.float32()),
    "sha256": (lambda picture: sha256(picture.data), pa.string()),
}
"""The functions that measure a picture, and the types of their results, by name."""
