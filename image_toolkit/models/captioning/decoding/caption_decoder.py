"""Captions of prepared inputs, decoded step by step: what `generate` returns, sooner.

Images are decoded in memory of a fixed size, which is kept from batch to batch. On a GPU there are
steps for so many images as are a power of two, each in a CUDA graph; odd batches are filled up. As
captions end at different lengths, it is looked now and then which images are done, and as soon as
enough are, the others go on in a smaller step.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any, Final

import torch

from image_toolkit.models.captioning.decoding.families import Family, Inputs, family_of
from image_toolkit.models.captioning.decoding.kind import Kind, size_for
from image_toolkit.models.captioning.decoding.search import Memory
from image_toolkit.models.captioning.decoding.step import image_memory
from image_toolkit.models.captioning.decoding.step_graph import StepGraphs
from image_toolkit.models.captioning.generation import Generation
from image_toolkit.models.runtime.device import Placement

_LENGTHS: Final = 16
"""Texts have memory for a multiple of so many tokens, which prompts of many lengths share."""

_KINDS: Final = 4
"""So many kinds of generation keep their memory and graphs."""


class CaptionDecoder:
    """Decodes captions with one model on one device. One thread at a time may use it."""

    def __init__(self, family: Family, placement: Placement) -> None:
        self._family = family
        self._placement = placement
        self._graphs = StepGraphs(placement.device) if placement.is_cuda else None
        self._kinds: dict[tuple[Any, ...], Kind] = {}

    def reason_against(self, inputs: Inputs, generation: Generation) -> str | None:
        """Return why captions cannot be made of inputs here; None if they can."""
        prompt = self._family.begin(inputs)
        if self._family.tokens.padding in prompt:
            return "the prompt has a token that stands for nothing"
        if len(prompt) + generation.max_new_tokens > self._family.text.longest:
            return "they may become longer than the model's longest text"
        return None

    def decode(self, inputs: Inputs, generation: Generation, rows: Sequence[str]) -> torch.Tensor:
        """Return the tokens of all candidates, (images * candidates, length), on the CPU.

        They are those that `generate` returns for these inputs, on the device, and the arguments of
        this generation; what follows the end of a caption is padding.

        Raises:
            torch.OutOfMemoryError: there is none left; what is kept from batch to batch is let go.
        """
        with self._working():
            prompt, seen = self._family.begin(inputs), self._family.see(inputs)
            kind = self._kind(seen, len(prompt), generation)
            return kind.decode(seen, prompt, generation.seeds_of_candidates(rows))

    def first_logits(self, inputs: Inputs) -> torch.Tensor:
        """Return the logits of the first new token of each image, (images, vocabulary)."""
        with self._working():
            prompt, seen = self._family.begin(inputs), self._family.see(inputs)
            kind = self._kind(seen, len(prompt), Generation(max_new_tokens=1))
            return kind.first_logits(seen, prompt)

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Let go of all memory if something fails: what is in it is half done."""
        device = self._placement.device
        try:
            with torch.cuda.device(device) if self._placement.is_cuda else nullcontext():
                yield
        except BaseException:
            self._forget(*self._kinds)
            raise

    def _kind(self, seen: torch.Tensor, prompt: int, generation: Generation) -> Kind:
        """Return a kind for such images; the one that was used last comes last."""
        size = size_for(len(seen), graphed=self._placement.is_cuda)
        length = -(-(prompt + generation.max_new_tokens) // _LENGTHS) * _LENGTHS
        own = replace(generation, seed=0, attempt=1, retry_poor=False)
        key = (own, length, seen.shape[1])
        if key in self._kinds and self._kinds[key].size >= size:
            self._kinds[key] = self._kinds.pop(key)
            return self._kinds[key]
        self._forget(key)
        images = self._image_memory(seen, size)
        self._forget(*list(self._kinds)[: 1 - _KINDS])
        self._kinds[key] = Kind(self._family, own, images, (size, length), self._graphs)
        return self._kinds[key]

    def _image_memory(self, seen: torch.Tensor, size: int) -> Memory:
        """Return memory for the keys of so many images: that of other kinds, if it is enough."""
        mates = [key for key in self._kinds if key[-1] == seen.shape[1]]
        if mates:
            images = self._kinds[mates[0]].images
            if len(next(iter(images.values()))) >= size:
                return images
            del images
        self._forget(*mates)
        return image_memory(self._family.text, size, seen)

    def _forget(self, *keys: tuple[Any, ...]) -> None:
        for key in keys:
            if key in self._kinds:
                self._kinds.pop(key).forget()


def decoder_for(model: Any, placement: Placement) -> CaptionDecoder | None:
    """Return a decoder for a captioner; None for a family that `generate` decodes."""
    family = family_of(model)
    return None if family is None else CaptionDecoder(family, placement)
