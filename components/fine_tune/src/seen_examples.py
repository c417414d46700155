"""The examples of a step: everything random about them depends only on seed and step.

Each example has its own random generator, so what is drawn depends neither on how a step is split
into batches, nor on the device, nor on earlier draws: a run that was killed resumes identically.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
import torch
from epoch_plan import Place
from framing import Frame, Pixels, View, middle
from tensor_store import TensorStore
from text_vectors import EMPTY, Conditions, TextVectors
from training_set import MOMENTS, PIXELS, Sample
from tuning_settings import ExampleSettings

_EXAMPLE: Final = 2
_HELD_OUT: Final = 3
"""Distinguish the random streams of examples from those of orders; see `epoch_plan`."""

DrawnView = Callable[[Frame, np.random.Generator], View]
"""Draws where an image is cropped."""


class Example(NamedTuple):
    """One use of an image, on the CPU.

    Attributes:
        moments: the distribution of its latents, (2 * channels, height, width), if it is cached.
        window: otherwise the pixels to encode.
        spread: the noise that samples from that distribution, of shape (channels, height, width).
        noise: the noise added to the latents, of the same shape.
        timestep: the amount of noise.
        conditions: the encoded caption.
        place: height and width of the image, top and left of the window, its height and width: the
            conditioning of Stable Diffusion XL.
    """

    moments: torch.Tensor | None
    window: Pixels | None
    spread: torch.Tensor
    noise: torch.Tensor
    timestep: int
    conditions: Conditions
    place: tuple[int, ...]


class ExampleMaker:
    """Makes the examples of steps, and those for validation."""

    def __init__(
        self,
        *,
        settings: ExampleSettings,
        seed: int,
        timesteps: int,
        latent_shape: tuple[int, int],
        images: TensorStore,
        texts: TextVectors,
        drawn_view: DrawnView,
    ) -> None:
        self._settings = settings
        self._seed = seed
        self.timesteps = timesteps
        self._channels, self._pixels_a_latent = latent_shape
        self._images = images
        self._texts = texts
        self._drawn_view = drawn_view

    def seen(self, step: int, place: Place, sample: Sample) -> Example:
        """Return the example of a sample at a position of a step."""
        draw = np.random.default_rng([self._seed, _EXAMPLE, step, place.position])
        caption = sample.captions[int(draw.integers(len(sample.captions)))]
        dropped = bool(draw.random() < self._settings.caption_dropout)
        timestep = int(draw.integers(self.timesteps))
        number = int(draw.integers(len(sample.views))) if sample.views else 0
        view = sample.views[number] if sample.views else self._drawn_view(sample.frame, draw)
        kept = self._images.get(sample.key)
        generator = torch.Generator().manual_seed(int(draw.integers(2**63)))
        spread, noise = self._noise(sample, generator), self._noise(sample, generator)
        if self._settings.noise_offset:
            shift = torch.randn(self._channels, 1, 1, generator=generator)
            noise = noise + self._settings.noise_offset * shift
        return Example(
            moments=kept[MOMENTS][number] if sample.views else None,
            window=None if sample.views else view.of(kept[PIXELS].numpy(), sample.frame.window),
            spread=spread,
            noise=noise,
            timestep=timestep,
            conditions=self._texts.of(EMPTY if dropped else caption),
            place=_place(sample, view),
        )

    def held_out(self, number: int, sample: Sample, timesteps: Sequence[int]) -> list[Example]:
        """Return the fixed examples of a held-out sample: its central view, at some timesteps.

        The latents are the mean of the distribution, and the caption is the main one.
        """
        moments = self._images.get(sample.key)[MOMENTS][0]
        conditions, examples = self._texts.of(sample.captions[0]), []
        for timestep in timesteps:
            seed = np.random.default_rng([self._seed, _HELD_OUT, number, timestep])
            generator = torch.Generator().manual_seed(int(seed.integers(2**63)))
            noise = self._noise(sample, generator)
            likeliest, place = torch.zeros_like(noise), _place(sample, middle(sample.frame))
            examples.append(Example(moments, None, likeliest, noise, timestep, conditions, place))
        return examples

    def _noise(self, sample: Sample, generator: torch.Generator) -> torch.Tensor:
        width, height = (side // self._pixels_a_latent for side in sample.frame.window)
        return torch.randn(self._channels, height, width, generator=generator)


def _place(sample: Sample, view: View) -> tuple[int, ...]:
    (width, height), _, (across, down) = sample.frame
    return height, width, view.top, view.left, down, across
