"""Cropping, scaling and mirroring of images."""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from PIL import Image
from tuning_settings import ImageSettings

from fondant_spec.errors import InvalidArgumentError
from image_toolkit.training.bad_rows import BadRowError
from image_toolkit.training.buckets import STEP, Size, bucket_of

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
"""RGB, of shape (height, width, 3)."""

_MOST_SCALED: Final = 16
"""A scaled image may have at most this many times the window's pixels; more costs gigabytes."""

_LATENT_SIDE: Final = 8
"""Pixels per latent, in each direction."""


class Frame(NamedTuple):
    """The size of a scaled image, and of the window that is cropped from it, in pixels."""

    original: Size
    scaled: Size
    window: Size

    @property
    def enlarged(self) -> bool:
        """Whether the image is smaller than the training resolution."""
        return self.original[0] < self.scaled[0] or self.original[1] < self.scaled[1]

    @property
    def spare(self) -> Size:
        """The difference between the scaled image and the window, in width and height."""
        return self.scaled[0] - self.window[0], self.scaled[1] - self.window[1]


class View(NamedTuple):
    """The position of the window in a scaled, and possibly mirrored, image."""

    left: int
    top: int
    mirrored: bool = False

    def of(self, pixels: Pixels, window: Size) -> Pixels:
        """Crop the window from a scaled image."""
        seen = pixels[:, ::-1] if self.mirrored else pixels
        width, height = window
        return np.ascontiguousarray(
            seen[self.top : self.top + height, self.left : self.left + width]
        )


@dataclass(frozen=True)
class Framing:
    """How images are scaled and cropped; see `ImageSettings`.

    `resolution` is the side of the squares, in pixels; with buckets, that of the square bucket.
    """

    resolution: int
    settings: ImageSettings

    def __post_init__(self) -> None:
        """Check that the sides of an image's latents are whole numbers.

        Raises:
            InvalidArgumentError: they are not.
        """
        buckets = self.settings.buckets
        step = STEP if buckets else _LATENT_SIDE
        if self.resolution % step:
            msg = (
                f"fine_tune: argument 'resolution' is {self.resolution}, and must be a multiple of "
                f"{step}{' with buckets' if buckets else ''}."
            )
            raise InvalidArgumentError(msg)

    @property
    def crops_anew(self) -> bool:
        """Whether each use of an image crops another window, so that latents cannot be cached."""
        return not (self._cuts_middle or self.settings.cached_crops)

    @property
    def _cuts_middle(self) -> bool:
        return self.settings.center_crop or self.settings.buckets

    def frame(self, size: Size) -> Frame:
        """Return how an image of a size is scaled and cropped.

        Raises:
            BadRowError: it is so elongated that almost nothing of it would be seen.
        """
        frame = self._frame(size)
        (across, down), (width, height) = frame.scaled, frame.window
        if across * down > _MOST_SCALED * width * height:
            message = (
                f"of {size[0]}x{size[1]} pixels, {width}x{height} are a small part once scaled"
            )
            raise BadRowError(reason="too_elongated", message=message)
        return frame

    def _frame(self, size: Size) -> Frame:
        width, height = size
        if not self.settings.buckets:
            # Rounded like torchvision's `Resize`.
            side, (short, long) = self.resolution, sorted(size)
            longer = int(side * long / short)
            scaled = (side, longer) if width <= height else (longer, side)
            return Frame(size, scaled, (side, side))
        window = bucket_of(size, self.resolution)
        scale = max(window[0] / width, window[1] / height)
        across, down = round(width * scale), round(height * scale)
        return Frame(size, (max(across, window[0]), max(down, window[1])), window)

    def kept_views(self, frame: Frame, draw: np.random.Generator) -> list[View]:
        """Return the views of an image whose latents are cached: each, and then each mirrored."""
        if self._cuts_middle or frame.spare == (0, 0):
            places = [middle(frame)]
        else:
            drawn = (_anywhere(frame, draw) for _ in range(self.settings.cached_crops or 1))
            places = list(dict.fromkeys(drawn))
        mirrored = (
            [place._replace(mirrored=True) for place in places] if self.settings.random_flip else []
        )
        return places + mirrored

    def drawn_view(self, frame: Frame, draw: np.random.Generator) -> View:
        """Return a random view of an image for one use."""
        mirrored = self.settings.random_flip and bool(draw.integers(2))
        return _anywhere(frame, draw)._replace(mirrored=mirrored)


def middle(frame: Frame) -> View:
    """Return the central view of an image, used for validation."""
    across, down = frame.spare
    return View(round(across / 2), round(down / 2))


def scaled(image: Image.Image, frame: Frame) -> Pixels:
    """Scale an image to its frame, with the filter of diffusers' scripts."""
    return np.asarray(image.resize(frame.scaled, Image.Resampling.LANCZOS))


def _anywhere(frame: Frame, draw: np.random.Generator) -> View:
    across, down = frame.spare
    return View(int(draw.integers(across + 1)), int(draw.integers(down + 1)))
