"""Resize as Pillow does, without holding the Python lock.

Models were trained on images that Pillow resized. PyTorch has the same filters for bytes, is within
one level of 256 of it (two, when enlarging), and takes a third of the time. It needs no copy on the
way in or out, which would block all other threads: so many cores stay busy.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch.nn.functional import interpolate

Pixels = npt.NDArray[np.uint8]

_FILTERS: Final = {
    Image.Resampling.BICUBIC: "bicubic",
    Image.Resampling.BILINEAR: "bilinear",
}
_VECTORISED: Final = ("AVX2", "AVX512")
"""Where PyTorch resizes bytes in the calling thread. Elsewhere each call starts a thread team."""

_MOST_WASTED: Final = 4
"""The most pixels to compute per pixel kept; of an extreme aspect ratio, nearly all are cropped."""

_MORE: Final = 1 + 1e-9
"""Slightly larger than requested, so that rounding does not lose the last row."""


class Stretch(NamedTuple):
    """One direction of a resize: to `made` pixels, of which `kept` are kept, from `start` on.

    `scale` is the number of input pixels per output pixel.
    """

    scale: float
    made: int
    start: int
    kept: int


def resize(pixels: Pixels, down: Stretch, across: Stretch, resample: Image.Resampling) -> Pixels:
    """Return the kept part of resized pixels, shape (down.kept, across.kept, 3)."""
    wasteful = down.made * across.made > _MOST_WASTED * down.kept * across.kept
    name = None if wasteful else _FILTERS.get(resample)
    if name is None or torch.backends.cpu.get_cpu_capability() not in _VECTORISED:
        return _by_pillow(pixels, down, across, resample)
    return _by_torch(pixels, down, across, name)


def _by_torch(pixels: Pixels, down: Stretch, across: Stretch, name: str) -> Pixels:
    if not pixels.flags.writeable:  # as decoded by Pillow: PyTorch does not support it
        pixels = pixels.copy()
    # Views are made by NumPy: for its own, PyTorch releases the Python lock and waits for it again.
    # The strides tell it that colours come last, which it preserves.
    image = torch.from_numpy(pixels.reshape(1, *pixels.shape).transpose(0, 3, 1, 2))
    factors = [_MORE / down.scale, _MORE / across.scale]
    made: Pixels = interpolate(image, scale_factor=factors, mode=name, antialias=True).numpy()
    rows = slice(down.start, down.start + down.kept)
    columns = slice(across.start, across.start + across.kept)
    return made[0, :, rows, columns].transpose(1, 2, 0)


def _by_pillow(
    pixels: Pixels, down: Stretch, across: Stretch, resample: Image.Resampling
) -> Pixels:
    height, width, _ = pixels.shape
    # Rounding must not exceed the image.
    right = min((across.start + across.kept) * across.scale, width)
    bottom = min((down.start + down.kept) * down.scale, height)
    box = (across.start * across.scale, down.start * down.scale, right, bottom)
    return np.asarray(Image.fromarray(pixels).resize((across.kept, down.kept), resample, box))
