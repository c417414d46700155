"""A model that describes images, and runs here."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from threading import Lock
from typing import Any, Final

import torch
import transformers

from image_toolkit.models.captioning.caption_families import intake_for
from image_toolkit.models.captioning.decoding.caption_decoder import decoder_for, tell_why
from image_toolkit.models.captioning.decoding.token_gap import largest_gap
from image_toolkit.models.captioning.generation import Generation
from image_toolkit.models.embedding.engines import pinned, to_device
from image_toolkit.models.runtime.batch_trial import best_batch_size
from image_toolkit.models.runtime.device import EXACT, Placement
from image_toolkit.models.runtime.device_use import DeviceUse
from image_toolkit.models.runtime.feed_rows import UnusableError, usable
from image_toolkit.models.runtime.fitting import placing
from image_toolkit.models.runtime.hub import ModelFiles
from image_toolkit.models.runtime.intakes import Inputs
from image_toolkit.models.runtime.layer_peaks import range_used
from image_toolkit.models.runtime.loading import load_model, loading
from image_toolkit.models.runtime.out_of_memory import is_out_of_memory
from image_toolkit.models.runtime.shortcuts import fuse_attention, speed_up

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


_LONGEST_BATCH: Final = 0.5
"""Seconds: a batch of captions takes so many steps that its size still counts when it is long."""

_COMPARED_TOKENS: Final = 8
_GAP, _ROUNDED_GAP = 1e-3, 0.25
"""How far from the likeliest a word may be for rounding's sake, in standard deviations."""


class LocalCaptioner:
    """A `transformers` model on one device."""

    def __init__(
        self,
        files: ModelFiles,
        placement: Placement,
        prompt: str | None,
        samples: Sequence[bytes] = (),
    ) -> None:
        """Load it; `samples` are images that it is tried on, beside those of its own.

        Raises:
            InputDataError: it cannot be had, or does not fit.
        """
        self.name, self.revision = files.name, files.revision
        self.placement = placement
        self.precision = placement.precision
        model = load_model("AutoModelForImageTextToText", files, placement.dtype, _POOLED)
        with loading(files.name):
            self._intake = intake_for(files, model.config, prompt)
        # Only the arguments decide how captions are made, not a file beside the model.
        for part in model.modules():
            if own := getattr(part, "generation_config", None):
                part.generation_config = transformers.GenerationConfig(
                    **{name: getattr(own, name) for name in _TOKEN_SETTINGS}
                )
        with placing(files.name, model, placement):
            self._model = _placed(model, placement).eval()
        self._decoder = decoder_for(model, placement)
        self._lock = Lock()
        self.prepare = self._intake.prepare
        self._samples = samples
        self.use = DeviceUse(placement)
        self.batch_size = 0

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
        tokens = self._tokens(inputs, rows, generation, leading)
        texts = self._intake.texts(tokens[:, leading:])
        count = generation.candidates
        return [texts[start : start + count] for start in range(0, len(texts), count)]

    def close(self) -> None:
        """Tell what of a GPU was used: all that it holds is memory."""
        self.use.tell()

    def probes(self) -> list[Any]:
        """Return a few prepared images to try it on."""
        return [*self._intake.probes(), *usable(self.prepare, self._samples)]

    def range_used(self) -> float:
        """Return how much of its type's range the model uses on a few images."""
        items = self.probes()
        inputs = self._intake.collate(items)
        run = partial(self._generate, inputs, max_new_tokens=4, do_sample=False)
        return range_used(self._model, run)

    def find_batch_size(self, generation: Generation) -> None:
        """Find the batch size at which captions come fastest: for a GPU."""
        items = self.probes()

        def ready(size: int) -> Callable[[], torch.Tensor]:
            rows = [f"{row}" for row in range(size)]
            inputs = self._intake.collate([items[row % len(items)] for row in range(size)])
            leading = self._intake.unwritten(inputs)
            return partial(self._tokens, pinned(inputs, self.placement), rows, generation, leading)

        self.batch_size = best_batch_size(ready, self.placement, longest=_LONGEST_BATCH)
        if self._decoder is not None:
            self._decoder.forget()  # the memory of the largest size that was tried

    def first_logits(self, items: Sequence[Any]) -> torch.Tensor:
        """Return the logits of the first new token of each image, float32: to compare with."""
        inputs = self._intake.collate(items)
        if self._decoder is not None:
            with self._arrived(inputs) as given:
                return self._decoder.first_logits(given, self._decoder.prompt(inputs)).cpu()
        made = self._generate(
            inputs,
            max_new_tokens=1,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
        )
        return made.logits[0].float().cpu()

    def check_decoder(self, generations: Sequence[Generation]) -> None:
        """Caption a few images with the decoder of our own, if there is one.

        On a GPU that is done in some ways, each of which is captured anew. Where the decoder does
        not fit in the memory, captions come from `generate`.

        Raises:
            RuntimeError: its words are others than those of `generate`.
        """
        if self._decoder is None:
            return
        items = self.probes()
        rows = [f"{number}" for number in range(len(items))]
        try:
            for generation in generations if self.placement.is_cuda else ():
                self._together(items, rows, generation, None)
            self._compare_decoder(self._intake.collate(items), rows)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            tell_why("the memory of its own decoder does not fit")
            self._decoder = None

    def _compare_decoder(self, inputs: Inputs, rows: Sequence[str]) -> None:
        plain = Generation(_COMPARED_TOKENS, min_new_tokens=_COMPARED_TOKENS)
        ours = self._tokens(inputs, rows, plain, 0)
        theirs = self._generate(
            inputs,
            **plain.arguments(rows),
            output_scores=True,
            return_dict_in_generate=True,
        )
        gap = largest_gap(ours, theirs.sequences.cpu(), [one.cpu() for one in theirs.scores])
        if not gap <= (_GAP if self.precision == EXACT else _ROUNDED_GAP):
            msg = f"words of captions that are {gap:.3f} deviations from the likeliest ones"
            raise RuntimeError(msg)

    def _tokens(
        self, inputs: Inputs, rows: Sequence[str], generation: Generation, leading: int
    ) -> torch.Tensor:
        """Return the tokens of all candidates; so many lead in each that are no part of it."""
        if self._decoder is not None:
            prompt = self._decoder.prompt(inputs)
            if self._decoder.covers(prompt, generation):
                with self._arrived(inputs) as given:
                    return self._decoder.decode(given, prompt, generation, rows)
        arguments = generation.arguments(rows, ignored=leading)
        tokens: torch.Tensor = self._generate(inputs, **arguments)
        return tokens

    def _generate(self, inputs: Inputs, **arguments: Any) -> Any:
        with self._arrived(inputs) as given:
            return self._model.generate(**given, **arguments)

    @contextmanager
    def _arrived(self, inputs: Inputs) -> Iterator[Inputs]:
        """Have the device for oneself, with the inputs on it."""
        ready = pinned(inputs, self.placement)
        # Of two partitions, one gets its batch ready while the other's runs.
        with self._lock, torch.inference_mode(), self.use.batch():
            given = self._intake.arrived(to_device(ready, self.placement))
            yield {
                name: value.to(self.placement.dtype) if value.is_floating_point() else value
                for name, value in given.items()
            }

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


def _placed(model: Any, placement: Placement) -> Any:
    """Return a model where it is placed, as fast as it runs there."""
    if not placement.is_cuda:
        return speed_up(model, placement)
    fuse_attention(model)
    return model.to(placement.device)  # of the same types: some models keep a few layers in fp32
