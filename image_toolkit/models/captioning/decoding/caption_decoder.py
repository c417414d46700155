"""Decode captions step by step: the results of `generate`, faster.

In `transformers`, each beam has its own copy of an image's keys: 42 MB per image for BLIP base in
fp32, which is made, reordered and read again for every token. Here all beams read the same copy.
Images are decoded in memory of fixed size, which is kept from batch to batch. On a GPU, there are
steps for powers of two of images, each in a CUDA graph; odd batches are padded. Since captions have
different lengths, the decoder checks now and then which images are finished, and as soon as enough
are, it continues with the others in a smaller step.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cache
from typing import Any, Final

import torch

from image_toolkit.models.captioning.decoding.families import family_of
from image_toolkit.models.captioning.decoding.family import Family, Inputs
from image_toolkit.models.captioning.decoding.kind import Kind, size_for
from image_toolkit.models.captioning.decoding.search import Memory
from image_toolkit.models.captioning.decoding.step_graph import StepGraphs
from image_toolkit.models.captioning.decoding.token_step import image_memory
from image_toolkit.models.captioning.generation import Generation
from image_toolkit.models.runtime.checked_versions import private_parts_usable
from image_toolkit.models.runtime.device import Placement

logger = logging.getLogger(__name__)

_LENGTHS: Final = 16
"""Text memory is a multiple of so many tokens, so that prompts of similar lengths share it."""

_KINDS: Final = 4
"""The number of kinds of generation whose memory and graphs are kept."""


class CaptionDecoder:
    """Decodes captions with one model on one device. For one thread at a time."""

    def __init__(self, family: Family, placement: Placement) -> None:
        self._family = family
        self._placement = placement
        self._graphs = StepGraphs(placement.device) if placement.is_cuda else None
        self._kinds: dict[tuple[Any, ...], Kind] = {}

    def prompt(self, inputs: Inputs) -> list[int]:
        """Return the tokens that the captions for some inputs begin with."""
        return self._family.begin(inputs)

    def covers(self, prompt: Sequence[int], generation: Generation) -> bool:
        """Return whether captions can be decoded here; if not, log the reason once."""
        longest = self._family.text.longest
        if self._family.tokens.padding in prompt:
            tell_why("a prompt has the token that stands for nothing")
        elif len(prompt) + generation.max_new_tokens > longest:
            tell_why(f"the model knows texts of {longest} tokens at most")
        else:
            return True
        return False

    def decode(
        self,
        inputs: Inputs,
        prompt: Sequence[int],
        generation: Generation,
        rows: Sequence[str],
    ) -> torch.Tensor:
        """Return the tokens of all candidates, (images * candidates, length), on the CPU.

        They are those that `generate` returns for these inputs, on the device, with the arguments
        of this generation; padding follows the end of a caption. `rows` are the ids of the images,
        which seed sampling.

        Raises:
            torch.OutOfMemoryError: memory ran out; all memory kept between batches is released.
        """
        with self._working():
            seen = self._family.see(inputs)
            kind = self._kind(seen, len(prompt), generation)
            return kind.decode(seen, prompt, generation.seeds_of_candidates(rows))

    def first_logits(self, inputs: Inputs, prompt: Sequence[int]) -> torch.Tensor:
        """Return the logits of the first new token of each image, (images, vocabulary)."""
        with self._working():
            seen = self._family.see(inputs)
            kind = self._kind(seen, len(prompt), Generation(max_new_tokens=1))
            return kind.first_logits(seen, prompt)

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Release all memory if something fails, since its content is inconsistent."""
        device = self._placement.device
        try:
            with torch.cuda.device(device) if self._placement.is_cuda else nullcontext():
                yield
        except BaseException:
            self.forget()
            raise

    def forget(self) -> None:
        """Release the graphs, and all memory kept between batches."""
        self._forget(*self._kinds)

    def _kind(self, seen: torch.Tensor, prompt: int, generation: Generation) -> Kind:
        """Return a kind for such images; kinds are kept in order of last use."""
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
        """Return memory for the keys of so many images, shared with other kinds if large enough."""
        mates = [key for key in self._kinds if key[-1] == seen.shape[1]]
        if mates:
            images = self._kinds[mates[0]].images
            if len(next(iter(images.values()))) >= size:
                return images
            del images
        self._forget(*mates)
        # All keys are read for every token, which is limited by memory bandwidth: so with int8
        # weights, they are in bf16.
        dtype = torch.bfloat16 if self._placement.precision == "int8" else seen.dtype
        return image_memory(self._family.text, (size, seen.shape[1]), seen.device, dtype)

    def _forget(self, *keys: tuple[Any, ...]) -> None:
        for key in keys:
            if key in self._kinds:
                self._kinds.pop(key).forget()


def decoder_for(model: Any, placement: Placement) -> CaptionDecoder | None:
    """Return a decoder for a captioner; None, with the reason logged, if `generate` is used."""
    if not private_parts_usable("transformers"):
        return None
    family = family_of(model)
    if family is None:
        tell_why(f"the decoder of {model.config.model_type} is not known here")
        return None
    return CaptionDecoder(family, placement)


@cache
def tell_why(why: str) -> None:
    """Log, once, why captions are not decoded here."""
    logger.info("Captions come from transformers' generate, which is slower: %s.", why)
