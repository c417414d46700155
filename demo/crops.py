"""Crops of the photographs: how they are drawn, split, rendered and captioned.

The demo has one photograph per subject, so training, collection and seeds are split by window: the
space of windows (size, shape, position) is divided into cells, and a hash assigns each cell to
exactly one split. No model ever sees a window of the collection or of the seeds, although it does
see other windows of the same photograph.
"""

import math
import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from demo.photos import BY_SUBJECT, Photo, load

Split = Literal["train", "collection", "seeds"]
View = Literal["close", "medium", "wide"]
Style = Literal["plain", "grey", "dark", "blurry"]

SPLITS: tuple[Split, ...] = (*("train",) * 6, *("collection",) * 3, "seeds")
VIEWS: tuple[View, ...] = ("close", "medium", "wide")
STYLES: tuple[Style, ...] = ("plain", "grey", "dark", "blurry")
STYLE_SHARES = (0.73, 0.09, 0.09, 0.09)
SMALLEST = 0.4  # of the largest window of that shape
LARGEST_CLOSE, SMALLEST_WIDE = 0.5, 0.72  # the square root of the share of the photograph's area
NARROWEST, WIDEST = 2 / 3, 3 / 2  # width divided by height
CELLS = 20  # along each side, and for the size
CELLS_OF_SHAPE = 8  # per unit of the logarithm of the aspect ratio
SUBJECT_SHARE = 0.6  # of the window or of the subject, whichever is smaller, that must be visible
OPENINGS = {"close": "a close-up of", "medium": "a photo of", "wide": "a wide view of"}
STYLE_OPENINGS = {
    "grey": "a black and white photo of",
    "dark": "a dark photo of",
    "blurry": "a blurry photo of",
}
COLOUR = re.compile(r"\b(brown and blue|orange|red|green|brown) ")
WRONG_ARTICLE = re.compile(r"\ban (?=[^aeiou])")


@dataclass(frozen=True)
class Crop:
    """A window of a photograph, and the effects applied to it.

    Attributes:
        subject: names the photograph.
        box: (left, top, right, bottom) in pixels of `photos.load(subject)`.
        view: the apparent distance.
        mirrored: flipped left to right.
        style: the one effect that a caption mentions.
        brightness, contrast: factors that a caption does not mention.
        noise: the standard deviation of the sensor noise, in grey levels.
    """

    subject: str
    box: tuple[float, float, float, float]
    view: View
    mirrored: bool
    style: Style
    brightness: float
    contrast: float
    noise: float

    @property
    def caption(self) -> str:
        """A true description of the crop, in one sentence without a full stop."""
        photo = BY_SUBJECT[self.subject]
        other = "left" if photo.side == "right" else "right"
        phrase: str = getattr(photo, self.view)
        phrase = phrase.format(side=other if self.mirrored else photo.side)
        if self.style == "grey":
            phrase = WRONG_ARTICLE.sub("a ", COLOUR.sub("", phrase))
        return f"{STYLE_OPENINGS.get(self.style, OPENINGS[self.view])} {phrase}"


def draw(rng: np.random.Generator, subject: str, split: Split, style: Style | None = None) -> Crop:
    """Draw a random crop of `subject` from the windows of `split`."""
    while True:
        size, shape, x, y = _window(rng)
        box = _place(subject, size, shape, x, y)
        if _split_of(subject, size, shape, x, y) == split and _shows(BY_SUBJECT[subject], box):
            break
    drawn = style or str(rng.choice(STYLES, p=STYLE_SHARES))
    if drawn == "grey" and _is_grey(subject):
        drawn = "plain"
    return Crop(
        subject=subject,
        box=box,
        view=_view(subject, box),
        mirrored=bool(rng.random() < 0.5),  # noqa: PLR2004 - a fair coin
        style=drawn,  # type: ignore[arg-type]
        brightness=float(rng.uniform(0.85, 1.2)),
        contrast=float(rng.uniform(0.85, 1.2)),
        noise=float(rng.uniform(0, 8)),
    )


def render(crop: Crop, long_side: int, rng: np.random.Generator) -> Image.Image:
    """Return the crop as an RGB image whose longer side has `long_side` pixels."""
    photo = load(crop.subject)
    left, top, right, bottom = crop.box
    scale = long_side / max(right - left, bottom - top)
    size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    image = photo.resize(size, Image.Resampling.BICUBIC, box=crop.box, reducing_gap=3)
    if crop.mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if crop.style == "grey":
        image = image.convert("L").convert("RGB")
    if crop.style == "blurry":
        image = image.filter(ImageFilter.GaussianBlur(0.03 * min(size)))
    dimming = 0.4 if crop.style == "dark" else 1.0
    image = ImageEnhance.Brightness(image).enhance(crop.brightness * dimming)
    image = ImageEnhance.Contrast(image).enhance(crop.contrast)
    # Each row of noise is used twice, which nobody sees and which halves the cost.
    grain = rng.normal(0, crop.noise, (-(-size[1] // 2), size[0], 1)).astype(np.float32)
    noisy = np.asarray(image, np.float32) + np.repeat(grain, 2, axis=0)[: size[1]]
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def _window(rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Draw size, shape and position, each from its own range."""
    return (
        float(rng.uniform(SMALLEST, 1)),
        float(np.exp(rng.uniform(math.log(NARROWEST), math.log(WIDEST)))),
        float(rng.random()),
        float(rng.random()),
    )


def _place(
    subject: str, size: float, shape: float, x: float, y: float
) -> tuple[float, float, float, float]:
    """Return the window in pixels; `x` and `y` run over the range in which it can move."""
    width, height = load(subject).size
    window_width = size * min(width, height * shape)
    window_height = size * min(height, width / shape)
    left, top = x * (width - window_width), y * (height - window_height)
    return left, top, left + window_width, top + window_height


def _view(subject: str, box: tuple[float, float, float, float]) -> View:
    """Return how close the window is."""
    reach = math.sqrt((box[2] - box[0]) * (box[3] - box[1]) / math.prod(load(subject).size))
    return "close" if reach < LARGEST_CLOSE else "wide" if reach >= SMALLEST_WIDE else "medium"


def _split_of(subject: str, size: float, shape: float, x: float, y: float) -> Split:
    """Return the split that owns the window's cell."""
    cell = (
        int(size * CELLS),
        int(math.log(shape / NARROWEST) * CELLS_OF_SHAPE),
        int(x * CELLS),
        int(y * CELLS),
    )
    digest = blake2b(f"{subject} {cell}".encode(), digest_size=4).digest()
    return SPLITS[int.from_bytes(digest, "big") % len(SPLITS)]


def _shows(photo: Photo, box: tuple[float, float, float, float]) -> bool:
    """Return whether the window shows enough of the subject to be called an image of it."""
    width, height = load(photo.subject).size
    focus = [edge * side for edge, side in zip(photo.focus, (width, height) * 2, strict=True)]
    shared_width = min(box[2], focus[2]) - max(box[0], focus[0])
    shared_height = min(box[3], focus[3]) - max(box[1], focus[1])
    if shared_width <= 0 or shared_height <= 0:
        return False
    smaller = min(
        (box[2] - box[0]) * (box[3] - box[1]), (focus[2] - focus[0]) * (focus[3] - focus[1])
    )
    return shared_width * shared_height >= SUBJECT_SHARE * smaller


def _is_grey(subject: str) -> bool:
    """Return whether the photograph is greyscale."""
    thumbnail = np.asarray(load(subject).resize((8, 8)), np.int16)
    return bool((thumbnail.max(axis=2) - thumbnail.min(axis=2)).max() < 4)  # noqa: PLR2004 - levels
