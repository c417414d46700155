"""Decoding with one set of generation settings, in memory for so many images and tokens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import torch

from image_toolkit.models.captioning.decoding.family import Family
from image_toolkit.models.captioning.decoding.rules import Clock, Rules
from image_toolkit.models.captioning.decoding.search import (
    Beams,
    Memory,
    OneByOne,
    move,
    narrowed,
)
from image_toolkit.models.captioning.decoding.step_graph import GraphedStep, StepGraphs
from image_toolkit.models.captioning.decoding.token_step import Step, word_memory
from image_toolkit.models.captioning.generation import Draw, Generation

_LEAST_IMAGES: Final = 8
"""The smallest step on a GPU: fewer images take as long."""

_TOKENS_AT_ONCE: Final = 4
"""Tokens between checks for finished images, each of which waits for the device."""

_FEWER: Final = 0.75
"""Images move to a smaller step once they are at most this share of the current ones."""


@dataclass(frozen=True)
class _Sized:
    """A step for so many images, and how it is run."""

    images: int
    search: OneByOne | Beams
    step: Step
    run: Callable[[], None]


class Kind:
    """Decodes up to `size` images at a time, with fixed settings."""

    def __init__(
        self,
        family: Family,
        generation: Generation,
        images: Memory,
        shape: tuple[int, int],
        graphs: StepGraphs | None,
    ) -> None:
        """`shape` is (images, tokens of a text); `images` is memory for at least as many images."""
        self.images = images
        self.size, length = shape
        one = next(iter(images.values()))
        self._family = family
        self._generation = generation
        self._graphs = graphs
        self._clock = Clock.on(one.device)
        text = family.text
        self._rules = Rules(generation, family.tokens, text.vocabulary, self._clock)
        search = Beams if generation.num_beams > 1 else OneByOne
        self._search = search.memory_for(self.size, generation, length, one.device)
        rows = self._search["tokens"].shape[:2]
        self._words = word_memory(text, rows, length, one)
        self._sized: dict[int, _Sized] = {}

    def decode(
        self, seen: torch.Tensor, prompt: Sequence[int], seeds: Sequence[int]
    ) -> torch.Tensor:
        """Return the tokens of all candidates, (images * candidates, length), on the CPU.

        `seen` is the image tower's output, (images, tokens, width).
        """
        now = self._start(seen, prompt, seeds)
        least, most = self._generation.min_new_tokens, self._generation.max_new_tokens
        made = now.search.best()[: len(seen), : self._generation.candidates].clone()
        going = list(range(len(seen)))
        for number in range(1, most + 1):
            now.run()
            if number % _TOKENS_AT_ONCE or not least <= number < most:
                continue
            done = now.search.done()[: len(going)].tolist()
            if all(done):
                break
            fewer = size_for(done.count(False), graphed=self._graphs is not None)
            if fewer <= _FEWER * now.images:
                _put(now, going, made)
                going = [image for image, is_done in zip(going, done, strict=True) if not is_done]
                now = self._narrow(fewer, [at for at, is_done in enumerate(done) if not is_done])
        _put(now, going, made)
        return made.flatten(0, 1)[:, : len(prompt) + most].cpu()

    def first_logits(self, seen: torch.Tensor, prompt: Sequence[int]) -> torch.Tensor:
        """Return the logits of the first new token of each image, (images, vocabulary)."""
        rows = self._start(seen, prompt, []).step.logits()
        return rows.unflatten(0, (-1, self._search["tokens"].shape[1]))[: len(seen), 0]

    def _start(self, seen: torch.Tensor, prompt: Sequence[int], seeds: Sequence[int]) -> _Sized:
        """Return the step to continue with, after reading all of the prompt but its last token."""
        now = self._for(size_for(len(seen), graphed=self._graphs is not None))
        tokens = now.search.memory["tokens"]
        tokens.fill_(self._rules.padding)
        tokens[:, :, : len(prompt)] = torch.tensor(prompt, device=tokens.device)
        self._clock.set(len(prompt), len(prompt) + self._generation.max_new_tokens)
        now.search.start(seeds)
        now.step.see(seen)
        if len(prompt) > 1:
            now.step.read(len(prompt) - 1)
        return now

    def _for(self, images: int) -> _Sized:
        if images not in self._sized:
            search = self._searching(narrowed(self._search, images))
            memories = (narrowed(self.images, images), narrowed(self._words, images))
            step = Step(self._family.text, *memories, search, self._clock)
            run = step if self._graphs is None else GraphedStep(step, self._graphs)
            self._sized[images] = _Sized(images, search, step, run)
        return self._sized[images]

    def _searching(self, memory: Memory) -> OneByOne | Beams:
        way = self._generation
        if way.num_beams > 1:
            return Beams(memory, self._rules, self._clock)
        draw = Draw(way.temperature, way.top_p) if way.sample else None
        return OneByOne(memory, self._rules, self._clock, draw)

    def _narrow(self, images: int, places: Sequence[int]) -> _Sized:
        """Return a smaller step, with the images at these positions moved to the front."""
        which = torch.tensor(places, device=self._clock.last.device)
        for memory in (self.images, self._words, self._search):
            move(memory, which)
        return self._for(images)

    def forget(self) -> None:
        """Release all memory; it must not be used again."""
        for sized in self._sized.values():
            if isinstance(sized.run, GraphedStep):
                sized.run.forget()
        self.images = {}
        for memory in (self._sized, self._search, self._words):
            memory.clear()


def size_for(images: int, *, graphed: bool) -> int:
    """Return the size of the step that processes so many images."""
    return max(_LEAST_IMAGES, 1 << (images - 1).bit_length()) if graphed else images


def _put(now: _Sized, images: Sequence[int], made: torch.Tensor) -> None:
    """Copy the current results, whose first images are these, to their places."""
    best = now.search.best()[: len(images), : made.shape[1]]
    made.index_copy_(0, torch.tensor(images, device=made.device), best)
