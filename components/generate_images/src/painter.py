"""Generates images from prompts with a pipeline on one device.

All randomness of an image comes from its own generator, on the CPU, seeded by the step's seed and
the row's id. So its noise is the same for every model, batch, order and device.
"""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from drawing_settings import DrawingSettings, Pair
from PIL import Image
from prompt_rows import PromptRow

from image_toolkit.models.runtime.batching import BatchSize, run_batch

OUT_OF_MEMORY: Final = ("out_of_memory", "does not fit in the memory, even alone")
NOT_FINITE: Final = (
    "not_finite",
    "the model made values that are no numbers; with precision fp32 it may not",
)


@dataclass(frozen=True)
class Drawn:
    """The PNG files of a row, one per pair; or why there are none."""

    files: Sequence[bytes] = ()
    problem: tuple[str, str] | None = None


class Painter:
    """Generates in batches as large as memory allows."""

    def __init__(
        self, pipeline: Any, settings: DrawingSettings, pairs: Sequence[Pair], batch_size: int
    ) -> None:
        self.pipeline = pipeline
        self.size = BatchSize(batch_size)
        self._seed = settings.seed
        self._pairs = pairs
        asked = {"height": settings.height, "width": settings.width}
        # Omitted instead of None: some pipelines have a default size of their own.
        self._given = {name: side for name, side in asked.items() if side is not None}
        self._is_guided = "guidance_scale" in signature(pipeline.__call__).parameters
        slicing = getattr(getattr(pipeline, "vae", None), "enable_slicing", None)
        if slicing is not None:
            slicing()  # decode one by one, so that a batch needs little more memory

    def draw(self, rows: Sequence[PromptRow]) -> dict[str, Drawn]:
        """Return the results for the rows that have a prompt, by row id."""
        drawn: dict[str, Drawn] = {}
        # Separately: for a pipeline, an empty negative prompt is not the same as none.
        for has_negative in (False, True):
            alike = [row for row in rows if row.is_drawn and row.has_negative is has_negative]
            made = run_batch(alike, self._draw_batch, self.size)
            for row, images in zip(alike, made, strict=True):
                drawn[row.row_id] = _as_drawn(images)
        return drawn

    def _draw_batch(self, rows: Sequence[PromptRow]) -> list[list[npt.NDArray[np.float32]]]:
        """Return each row's images of all pairs, each (height, width, 3) from 0 to 1."""
        by_pair = [self._images(rows, pair) for pair in self._pairs]
        return [list(images) for images in zip(*by_pair, strict=True)]

    def _images(self, rows: Sequence[PromptRow], pair: Pair) -> Sequence[npt.NDArray[np.float32]]:
        negatives = [row.negative for row in rows if row.has_negative]
        made = self.pipeline(
            prompt=[row.prompt for row in rows],
            num_inference_steps=pair.steps,
            generator=[generator_for(self._seed, row.row_id) for row in rows],
            output_type="np",
            **self._given,
            **({"negative_prompt": negatives} if negatives else {}),
            **({"guidance_scale": pair.guidance} if self._is_guided else {}),
        )
        return list(made.images)


def generator_for(seed: int, row_id: str) -> torch.Generator:
    """Return the generator for all randomness of a row's image."""
    digest = hashlib.sha256(f"{seed}:{row_id}".encode()).digest()
    return torch.Generator("cpu").manual_seed(int.from_bytes(digest[:7], "big"))


def png_of(image: npt.NDArray[np.float32]) -> bytes:
    """Encode an image with values from 0 to 1 as a PNG file, without metadata."""
    file = io.BytesIO()
    Image.fromarray((image * 255).round().astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def _as_drawn(images: Sequence[npt.NDArray[np.float32]] | None) -> Drawn:
    if images is None:
        return Drawn(problem=OUT_OF_MEMORY)
    if not all(np.isfinite(image).all() for image in images):
        return Drawn(problem=NOT_FINITE)
    return Drawn([png_of(image) for image in images])
