"""Aspect-ratio buckets: the sizes that trainers resize images to, so that a batch has one size.

All have about as many pixels as the square that a model is trained at, and sides in steps of 64. An
image goes to the bucket with the nearest aspect ratio; trainers that do not enlarge keep a smaller
image at its own size, cropped to the steps. This follows kohya's sd-scripts; others are similar.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import inf, sqrt
from typing import Final

STEP: Final = 64
SHORTEST: Final = 256
"""The shortest side of a bucket in pixels, except for images that are smaller still."""

_LONGEST: Final = 2
"""The longest side of a bucket, as a multiple of the square's side."""

Size = tuple[int, int]
"""Width and height, in pixels."""


@dataclass(frozen=True)
class Buckets:
    """How images are distributed over buckets, at a resolution.

    Attributes:
        resolution: The side of the square, in pixels.
        enlarges: Whether images smaller than their bucket are enlarged; otherwise they keep their
            size, in their own buckets.
        images: The number of images in each bucket.
        enlarged: How many of them are smaller than their bucket.
        unusable: How many have a side shorter than a step, so that no bucket takes them.
    """

    resolution: int
    enlarges: bool
    images: Mapping[Size, int]
    enlarged: int = 0
    unusable: int = 0

    def short(self, batch: int) -> dict[Size, int]:
        """Return the buckets with fewer images than a batch."""
        return {size: count for size, count in self.images.items() if count < batch}


def sort_into_buckets(
    sizes: Mapping[Size, int], resolution: int, *, enlarges: bool = True
) -> Buckets:
    """Distribute images over buckets.

    Args:
        sizes: The number of images with each width and height.
        resolution: The side of the training square, a multiple of 64 pixels.
        enlarges: Whether the trainer enlarges images that are smaller than their bucket.
    """
    images: Counter[Size] = Counter()
    enlarged = unusable = 0
    for size, count in sizes.items():
        bucket = bucket_of(size, resolution, enlarges=enlarges)
        if 0 in bucket:
            unusable += count
            continue
        images[bucket] += count
        enlarged += count * any(own < wanted for own, wanted in zip(size, bucket, strict=True))
    ordered = dict(sorted(images.items(), key=lambda one: (one[0][0] / one[0][1], one[0])))
    return Buckets(resolution, enlarges, ordered, enlarged, unusable)


def bucket_of(size: Size, resolution: int, *, enlarges: bool = True) -> Size:
    """Return the bucket of an image, with a side of 0 if the image is smaller than a step."""
    width, height = size
    ratio = width / height
    if enlarges:
        # Of several with the same ratio, prefer the image's own size.
        return min(
            bucket_sizes(resolution),
            key=lambda one: (abs(one[0] / one[1] - ratio), one != size, one),
        )
    pixels = resolution * resolution
    if width * height <= pixels:
        return in_steps(width), in_steps(height)
    by_width = in_steps(sqrt(pixels * ratio))
    by_height = in_steps(sqrt(pixels / ratio))
    candidates = [(by_height * ratio, by_height), (by_width, by_width / ratio)]
    kept = min(candidates, key=lambda one: _ratio_off(one, ratio))  # cropped least
    return in_steps(kept[0]), in_steps(kept[1])


@cache
def bucket_sizes(resolution: int) -> tuple[Size, ...]:
    """Return the buckets of a resolution: for each width the greatest height, and vice versa."""
    pixels, longest = resolution * resolution, _LONGEST * resolution
    found = {(in_steps(resolution),) * 2}
    for side in range(SHORTEST, longest + 1, STEP):
        other = min(longest, in_steps(pixels // side))
        if other >= SHORTEST:
            found |= {(side, other), (other, side)}
    return tuple(sorted(found))


def in_steps(side: float) -> int:
    """Return a side rounded to pixels, then cut to the steps."""
    return int(side + 0.5) // STEP * STEP


def _ratio_off(size: tuple[float, float], ratio: float) -> float:
    """Return how much the aspect ratio changes when both sides are cut to the steps."""
    width, height = map(in_steps, size)
    return abs(width / height - ratio) if height else inf
