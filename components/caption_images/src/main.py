"""Captions images, with a model that runs here or behind an endpoint."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from fondant_spec.component import RowContext, SetupContext, StreamTransformComponent
from fondant_spec.executor import execute
from image_toolkit.models.captioning.caption_models import CaptionModels
from image_toolkit.models.captioning.caption_stream import Captioning, Choice
from image_toolkit.models.captioning.caption_text import Frame
from image_toolkit.models.captioning.generation import Generation, with_preset

logger = logging.getLogger(__name__)


class CaptionImages(StreamTransformComponent):
    """Turns images into captions."""

    uses_device = True

    def __init__(
        self,
        *,
        model_id: str = "Salesforce/blip-image-captioning-base",
        revision: str | None = None,
        endpoint: str | None = None,
        batch_size: int = 0,
        device: str = "auto",
        precision: str = "auto",
        preset: str = "none",
        prompt: str | None = None,
        max_new_tokens: int | None = None,
        min_new_tokens: int | None = None,
        num_beams: int | None = None,
        repetition_penalty: float | None = None,
        no_repeat_ngram_size: int | None = None,
        retry_poor: bool = True,
        sample: bool = False,
        temperature: float = 1.0,
        top_p: float = 0.9,
        candidates: int = 1,
        seed: int = 0,
        clip_model_id: str | None = None,
        clip_revision: str | None = None,
        trigger_word: str | None = None,
        prefix: str | None = None,
        suffix: str | None = None,
        alt_text_ratio: float = 0.0,
        keep_existing: bool = False,
    ) -> None:
        settings = with_preset(
            preset,
            max_new_tokens=max_new_tokens,
            min_new_tokens=min_new_tokens,
            num_beams=num_beams,
            repetition_penalty=repetition_penalty,
            no_repeat_ngram_size=no_repeat_ngram_size,
            suffix=suffix,
        )
        self._frame = Frame(trigger_word or "", prefix or "", settings.pop("suffix", ""))
        self._generation = Generation(
            **settings,
            retry_poor=retry_poor,
            sample=sample,
            temperature=temperature,
            top_p=top_p,
            candidates=candidates,
            seed=seed,
        )
        self._choice = Choice(keep_existing, alt_text_ratio, seed)
        self._models = CaptionModels(
            model_id=model_id,
            revision=revision,
            endpoint=endpoint,
            prompt=prompt,
            clip_model_id=clip_model_id,
            clip_revision=clip_revision,
            device=device,
            precision=precision,
            batch_size=batch_size,
        )
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
        self._extras = sorted(context.output_fields - {"caption"})
        self._captioning = self._models.start(
            self._generation, self._choice, self._frame, self._extras
        )
        self.partitions_at_once = self._captioning.partitions_at_once

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
