"""Captions images, with a model that runs here or behind an endpoint."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

import pyarrow as pa

from fondant_spec.component import RowContext, SetupContext, StreamTransformComponent
from fondant_spec.executor import execute
from image_toolkit.models.captioning.asks import make_asks
from image_toolkit.models.captioning.caption_models import CaptionModels
from image_toolkit.models.captioning.caption_stream import Captioning
from image_toolkit.models.captioning.caption_text import Frame
from image_toolkit.models.captioning.drafts import CAPTION, Choice
from image_toolkit.models.captioning.placeholders import check_places
from image_toolkit.models.captioning.presets import (
    Decoding,
    Sampling,
    make_generation,
    with_preset,
)
from image_toolkit.models.runtime.feed_rows import SAMPLES

logger = logging.getLogger(__name__)


class CaptionImages(StreamTransformComponent):
    """Turns images into captions."""

    uses_device = True

    def __init__(
        self,
        *,
        models: CaptionModels,
        decoding: Decoding,
        sampling: Sampling,
        frame: Frame,
        choice: Choice,
        preset: str = "none",
        prompts: list[Any] | None = None,
    ) -> None:
        generation = make_generation(with_preset(preset, decoding), sampling)
        self._asks = make_asks(generation, models.prompt, prompts)
        self._models = replace(models, prompt=self._asks[0].prompt)
        self._frame = with_preset(preset, frame)
        self._choice = choice
        self._captioning: Captioning | None = None

    def setup(self, context: SetupContext) -> None:
        """Load the models, once for each device."""
        for field in self._choice.columns:
            if field not in context.input_fields:
                logger.warning(
                    "Rows have no field %r, so none of their own is taken. If it has another name, "
                    "say so: consumes of this step, {%r: <its name>}.",
                    field,
                    field,
                )
        self._check_places(context)
        self._extras = sorted(context.output_fields - {"caption"})
        samples = [one for one in context.first_rows(["image"], SAMPLES)["image"] if one]
        self._captioning = self._models.start(
            self._asks, self._choice, self._frame, self._extras, samples
        )
        self.partitions_at_once = self._captioning.partitions_at_once

    def _check_places(self, context: SetupContext) -> None:
        """Check that the rows have what prompts and frame name in braces.

        Raises:
            InvalidArgumentError: one is not there.
        """
        known = set(context.input_fields) - {"image"}
        for name, text in asdict(self._frame).items():
            check_places(text, name, known)
        for number, ask in enumerate(self._asks):
            check_places(ask.prompt, "prompt", known | {CAPTION} if number else known)

    def teardown(self) -> None:
        """Stop the threads that prepare images."""
        if self._captioning is not None:
            self._captioning.close()

    def transform_batches(
        self, batches: Iterator[pa.RecordBatch], context: RowContext
    ) -> Iterator[pa.RecordBatch]:
        """Yield `id`, `caption` and what else was asked for, of the images that can be decoded."""
        assert self._captioning is not None, "setup() comes first"  # noqa: S101
        yield from self._captioning.batches(batches, context.rejects)

    def field_metadata(self) -> Mapping[str, Mapping[str, Any]]:
        """Return which model made the captions, and how."""
        assert self._captioning is not None, "setup() comes first"  # noqa: S101
        return {"caption": self._captioning.metadata()}


if __name__ == "__main__":
    execute(CaptionImages)
