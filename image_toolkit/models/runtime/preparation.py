"""From image bytes to model inputs, with the result of the model's own processor, but faster.

Most vision towers need the same few steps: resize, centre crop, normalise. `PixelPreparation` does
them on bytes (a JPEG is decoded at reduced size if that is enough) and leaves the arithmetic to the
device: it returns `uint8` pixels. Whether it matches the model's own processor is checked when a
model is loaded; if it does not, the processor itself is used.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import nn

from image_toolkit.images.decoding import decode_image, image_header, pixels_of
from image_toolkit.models.runtime.resizing import Pixels, Stretch, resize

_DECODE_MARGIN: Final = 1.25
"""A JPEG is decoded at reduced size only if its sides stay at least this many times as long as
needed: with less, the embeddings of some models deviate by more than 0.001 in cosine."""

_LONGEST_EDGE: Final = 2048
"""More pixels than any processor here needs: a photo of 12 megapixels is 36 MB once decoded."""

_CLOSE_ENOUGH: Final = 0.05
_DEFAULT_RESAMPLE: Final = Image.Resampling.BICUBIC


@dataclass(frozen=True)
class PixelPreparation:
    """Resizes, crops and normalises according to an image processor's settings.

    `size` is `(height, width)`, or one number for the shorter edge; `crop` is `(height, width)`.
    """

    size: tuple[int, int] | int
    crop: tuple[int, int] | None
    resample: Image.Resampling
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self | None:
        """Return the preparation for a processor's settings; None if they need anything else."""
        size = _size(settings.get("size") or {})
        if size is None or not settings.get("do_resize", True):
            return None
        crop = settings.get("crop_size") if settings.get("do_center_crop") else None
        if isinstance(size, int) and (crop is None or max(_pair(crop)) > size):
            return None
        normalise = settings.get("do_normalize", True)
        return cls(
            size=size,
            crop=_pair(crop) if crop else None,
            resample=Image.Resampling(settings.get("resample", _DEFAULT_RESAMPLE)),
            scale=settings["rescale_factor"] if settings.get("do_rescale", True) else 1.0,
            mean=tuple(settings["image_mean"]) if normalise else (0.0, 0.0, 0.0),
            std=tuple(settings["image_std"]) if normalise else (1.0, 1.0, 1.0),
        )

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """The shape of a prepared image: height, width, colours."""
        height, width = self.crop or _pair(self.size)
        return height, width, 3

    def __call__(self, data: bytes) -> Pixels:
        """Return the pixels of an image: uint8, shape (height, width, 3).

        Raises:
            NotAnImageError: the bytes cannot be decoded as an image.
        """
        needed = self.size if isinstance(self.size, int) else max(self.size)
        header = image_header(data)
        decoded = pixels_of(header, data, target_side=round(needed * _DECODE_MARGIN))
        return self.pixels(decoded, header.size)

    def pixels(self, decoded: Pixels, size: tuple[int, int] | None = None) -> Pixels:
        """Return the pixels of a decoded image; `size` is that of the file, if it was larger.

        `decoded` is RGB, shape (height, width, 3), `size` is `(width, height)`. Decoding at reduced
        size rounds odd sizes up, so the resize is computed in the file's own pixels, to keep the
        picture in place.
        """
        decoded_height, decoded_width, _ = decoded.shape
        true_width, true_height = size or (decoded_width, decoded_height)
        width, height = self._resized(true_width, true_height)
        rows, columns, _ = self.shape
        down = true_height * _fraction(true_height, decoded_height) / height
        across = true_width * _fraction(true_width, decoded_width) / width
        return resize(
            decoded,
            Stretch(down, height, (height - rows) // 2, rows),
            Stretch(across, width, (width - columns) // 2, columns),
            self.resample,
        )

    def normalised(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """Return pixels as the model's own processor does: float32, colours first."""
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        values: npt.NDArray[np.float32] = (pixels * np.float32(self.scale) - mean) / std
        return values.transpose(2, 0, 1)

    def _resized(self, width: int, height: int) -> tuple[int, int]:
        if not isinstance(self.size, int):
            return self.size[1], self.size[0]
        short, long = sorted((width, height))
        other = int(self.size * long / short)
        return (self.size, other) if width <= height else (other, self.size)


class ProcessorPreparation:
    """Only decodes; the model's own processor does the rest, one batch at a time.

    No edge is left longer than `longest_edge`, in pixels.
    """

    def __init__(self, longest_edge: int = _LONGEST_EDGE) -> None:
        self._longest_edge = longest_edge

    def __call__(self, data: bytes) -> Image.Image:
        """Return the decoded RGB image, scaled down if an edge is longer than allowed."""
        image = decode_image(data, target_side=self._longest_edge)
        if max(image.size) > self._longest_edge:
            image.thumbnail((self._longest_edge, self._longest_edge), Image.Resampling.BICUBIC)
        return image


class Normalise(nn.Module):  # type: ignore[misc]  # torch has no types
    """Converts uint8 pixels (batch, height, width, 3) to a model's input, on the model's device."""

    def __init__(self, preparation: PixelPreparation) -> None:
        super().__init__()
        factor = [preparation.scale / std for std in preparation.std]
        shift = [m / s for m, s in zip(preparation.mean, preparation.std, strict=True)]
        self.register_buffer("_factor", torch.tensor(factor), persistent=False)
        self.register_buffer("_shift", torch.tensor(shift), persistent=False)

    def constants(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the factor and the shift, by colour: values are `pixels * factor - shift`."""
        return self._factor, self._shift

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return float32 values, shape (batch, 3, height, width)."""
        if self._factor.device != pixels.device:
            self.to(pixels.device)  # once, since it need not be part of a model
        return (pixels * self._factor - self._shift).permute(0, 3, 1, 2)

    def _apply(self, change: Callable[[torch.Tensor], torch.Tensor], *_: Any) -> Self:
        """Move with a model, but stay float32: rounded constants would shift every pixel."""
        for name, kept in list(self.named_buffers()):
            setattr(self, name, kept.to(change(kept).device))
        return self


def preparation_for(processor: Any) -> PixelPreparation | None:
    """Return a fast preparation that matches `processor`; None if there is none."""
    preparation = PixelPreparation.from_settings(processor.to_dict())
    if preparation is None:
        return None
    for image in probe_images():
        theirs = np.asarray(processor(images=image, return_tensors="np")["pixel_values"][0])
        ours = preparation.normalised(preparation.pixels(np.asarray(image)))
        if theirs.shape != ours.shape or np.abs(theirs - ours).max() > _CLOSE_ENOUGH:
            return None
    return preparation


def probe_images(count: int = 2) -> Sequence[Image.Image]:
    """Return smooth random images, wide and tall, the same each time, to compare two ways."""
    random = np.random.default_rng(0)
    sizes = [(417, 290), (301, 433)]
    coarse = random.integers(0, 256, (count, 12, 12, 3), dtype=np.uint8)
    return [
        Image.fromarray(pixels).resize(sizes[number % 2], Image.Resampling.BICUBIC)
        for number, pixels in enumerate(coarse)
    ]


def _size(size: Mapping[str, int] | int) -> tuple[int, int] | int | None:
    if isinstance(size, int):
        return size
    if set(size) == {"shortest_edge"}:
        return size["shortest_edge"]
    return (size["height"], size["width"]) if set(size) == {"height", "width"} else None


def _pair(size: Mapping[str, int] | tuple[int, int] | int) -> tuple[int, int]:
    if isinstance(size, int):
        return size, size
    return size if isinstance(size, tuple) else (size["height"], size["width"])


def _fraction(whole: int, part: int) -> float:
    """Return the scale at which a side was decoded, in eighths; `part` is rounded up."""
    return max(1, round(8 * part / whole)) / 8
