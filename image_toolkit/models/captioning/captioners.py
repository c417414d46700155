"""Models that describe images, and run here."""

import re
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, Final, Protocol

import torch
import transformers

from image_toolkit.models.captioning.caption_families import intake_for
from image_toolkit.models.captioning.generation import Generation
from image_toolkit.models.embedding.engines import pinned, to_device
from image_toolkit.models.runtime.device import Placement
from image_toolkit.models.runtime.feed import UnusableError
from image_toolkit.models.runtime.hub import ModelFiles
from image_toolkit.models.runtime.intakes import Inputs
from image_toolkit.models.runtime.loading import load_model, loading
from image_toolkit.models.runtime.shortcuts import share_image_keys, speed_up

_POOLED: Final = re.compile(r"\b(pooler|vision_\w+\.head)\.")
"""Weights that make one vector of an image: captioners look at the patches, and some lack them."""

_TOKEN_SETTINGS: Final = (
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "decoder_start_token_id",
    "forced_bos_token_id",
    "forced_eos_token_id",
)


class Captioner(Protocol):
    """Describes prepared images."""

    name: str
    revision: str
    precision: str

    def close(self) -> None:
        """Let go of what it holds beside itself: processes, connections."""

    @property
    def prepare(self) -> Callable[[bytes], Any]:
        """Makes one prepared item of an image's bytes; called in many threads at once."""

    def captions(
        self,
        items: Sequence[Any],
        rows: Sequence[str],
        generation: Generation,
        prompts: Sequence[str] | None = None,
    ) -> Sequence[list[str] | UnusableError]:
        """Return the candidates for each item; `rows` are the ids that sampling is seeded by.

        `prompts` has one for each item; without them it is the captioner's own.
        """


class LocalCaptioner:
    """A `transformers` model on one device."""

    def __init__(self, files: ModelFiles, placement: Placement, prompt: str | None) -> None:
        self.name, self.revision = files.name, files.revision
        self.placement = placement
        self.precision = placement.precision
        model = load_model("AutoModelForImageTextToText", files, placement.dtype, _POOLED)
        with loading(files.name):
            self._intake = intake_for(files, model.config, prompt)
        # Only the arguments decide how captions are made, not a file beside the model.
        own = model.generation_config
        model.generation_config = transformers.GenerationConfig(
            **{name: getattr(own, name) for name in _TOKEN_SETTINGS}
        )
        # On a GPU no type is changed: some models keep a few layers in fp32.
        fast = model.to(placement.device) if placement.is_cuda else speed_up(model, placement)
        self._model = fast.eval()
        self._captioning = share_image_keys(model, placement)
        self._lock = Lock()
        self.prepare = self._intake.prepare
        self.probes = self._intake.probes

    def __str__(self) -> str:
        """Return how the captioner is run, as it is logged."""
        return str(self.placement)

    def captions(
        self,
        items: Sequence[Any],
        rows: Sequence[str],
        generation: Generation,
        prompts: Sequence[str] | None = None,
    ) -> Sequence[list[str] | UnusableError]:
        """Return the candidates for each image; an error for one that the model does not take."""
        if prompts is None or self._intake.mixes or len({*prompts}) == 1:
            return self._together(items, rows, generation, prompts)
        made: list[list[str] | UnusableError] = [[]] * len(items)
        for prompt in dict.fromkeys(prompts):
            places = [place for place, other in enumerate(prompts) if other == prompt]
            some = [items[place] for place in places], [rows[place] for place in places]
            answers = self._together(*some, generation, [prompt] * len(places))
            for place, answer in zip(places, answers, strict=True):
                made[place] = answer
        return made

    def _together(
        self,
        items: Sequence[Any],
        rows: Sequence[str],
        generation: Generation,
        prompts: Sequence[str] | None,
    ) -> Sequence[list[str] | UnusableError]:
        try:
            inputs = self._intake.collate(items, prompts)
        except ValueError as error:
            return self._halves(items, rows, generation, prompts, error)
        leading = self._intake.unwritten(inputs)
        tokens = self._generate(inputs, len(items), **generation.arguments(rows, ignored=leading))
        texts = self._intake.texts(tokens[:, leading:])
        count = generation.candidates
        return [texts[start : start + count] for start in range(0, len(texts), count)]

    def close(self) -> None:
        """Do nothing: all that it holds is memory."""

    def first_logits(self, items: Sequence[Any]) -> torch.Tensor:
        """Return the logits of the first new token of each image, float32: to compare with."""
        made = self._generate(
            self._intake.collate(items),
            len(items),
            max_new_tokens=1,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
        )
        return made.logits[0].float().cpu()

    def _generate(self, inputs: Inputs, images: int, **arguments: Any) -> Any:
        ready = pinned(inputs, self.placement)
        # Of two partitions, one gets its batch ready while the other's runs.
        with self._lock, torch.inference_mode(), self._captioning(images):
            given = self._intake.arrived(to_device(ready, self.placement))
            cast = {
                name: value.to(self.placement.dtype) if value.is_floating_point() else value
                for name, value in given.items()
            }
            return self._model.generate(**cast, **arguments)

    def _halves(
        self,
        items: Sequence[Any],
        rows: Sequence[str],
        generation: Generation,
        prompts: Sequence[str] | None,
        error: ValueError,
    ) -> Sequence[list[str] | UnusableError]:
        """Caption the halves of a batch by themselves, as one of its images cannot be taken."""
        if len(items) == 1:
            return [UnusableError("not_accepted", f"by the model: {error}")]
        middle = len(items) // 2
        return [
            made
            for half in (slice(middle), slice(middle, None))
            for made in self._together(
                items[half], rows[half], generation, prompts and prompts[half]
            )
        ]
