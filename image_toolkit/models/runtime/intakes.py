"""The inputs and outputs of models that describe images.

Most take pixels and the same few text tokens for every image (`PixelIntake`). Chat models embed the
image in a conversation, and process both with their own processor (`ChatIntake`).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final, Protocol

import numpy as np
import torch
from tokenizers.models import WordPiece

from image_toolkit.models.runtime.preparation import (
    Normalise,
    PixelPreparation,
    ProcessorPreparation,
    preparation_for,
    probe_images,
)
from image_toolkit.models.runtime.slots import stacked

Inputs = Mapping[str, torch.Tensor]

# BERT's vocabulary, used by BLIP and GIT among others, splits hyphens off: "close - up".
_LOOSE_HYPHEN: Final = re.compile(r"(?<=\w) - (?=\w)")


class Intake(Protocol):
    """What a family of models takes and returns."""

    @property
    def prepare(self) -> Callable[[bytes], Any]:
        """A function that prepares an item from an image's bytes."""

    mixes: bool
    """Whether images with different prompts may be in the same batch."""

    def collate(self, items: Sequence[Any], prompts: Sequence[str] | None = None) -> Inputs:
        """Return the input for some prepared images, on the CPU.

        `prompts` has one per image; by default, it is the intake's own.

        Raises:
            InvalidArgumentError: the model does not support a prompt.
            ValueError: the model does not take an image like one of these.
        """

    def arrived(self, inputs: Inputs) -> Inputs:
        """Return the input of `generate` from the result of `collate`, now on the device."""

    def unwritten(self, inputs: Inputs) -> int:
        """Return how many leading tokens of a result are no part of the caption."""

    def texts(self, tokens: torch.Tensor) -> list[str]:
        """Return the captions in the tokens that `generate` returned."""

    def probes(self) -> Sequence[Any]:
        """Return a few prepared items, the same each time."""


class PixelIntake:
    """Pixels, and the same text tokens for every image: BLIP, BLIP-2, GIT, ViT-GPT2, Florence-2."""

    mixes = False

    def __init__(
        self,
        image_processor: Any,
        tokenizer: Any,
        tokens_of: Callable[[str], Mapping[str, Sequence[int]]],
        prompt: str = "",
        *,
        repeats: bool = False,
    ) -> None:
        """`tokens_of` returns a prompt's tokens; `repeats` says that they lead in each result.

        Raises:
            InvalidArgumentError: the model does not support the prompt.
        """
        self._processor = image_processor
        self._tokenizer = tokenizer
        self._tokens_of = cache(tokens_of)
        self._own = prompt
        self._tokens_of(prompt)
        self._repeats = repeats
        self._parts_hyphens = _is_word_piece(tokenizer)
        preparation = preparation_for(image_processor)
        self._normalise = None if preparation is None else Normalise(preparation)
        self.prepare: Callable[[bytes], Any] = preparation or ProcessorPreparation()

    def collate(self, items: Sequence[Any], prompts: Sequence[str] | None = None) -> Inputs:
        """Return `pixel_values` and the prompt's tokens, one row per image."""
        if self._normalise is None:
            pixels = self._processor(images=list(items), return_tensors="pt")["pixel_values"]
        else:
            pixels = stacked(items)
        tokens = self._tokens_of(prompts[0] if prompts else self._own)
        rows = {name: torch.tensor([ids]).repeat(len(items), 1) for name, ids in tokens.items()}
        return {"pixel_values": pixels, **rows}

    def arrived(self, inputs: Inputs) -> Inputs:
        """Normalise the pixels on the device: as bytes they are copied there faster."""
        if self._normalise is None:
            return inputs
        return {**inputs, "pixel_values": self._normalise(inputs["pixel_values"])}

    def unwritten(self, inputs: Inputs) -> int:
        """Return 0, except for models that repeat their whole prompt before the caption."""
        return int(inputs["input_ids"].shape[1]) if self._repeats else 0

    def texts(self, tokens: torch.Tensor) -> list[str]:
        """Return the captions; a prompt that leads in a caption is part of it."""
        texts: list[str] = self._tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return [_LOOSE_HYPHEN.sub("-", text) for text in texts] if self._parts_hyphens else texts

    def probes(self) -> Sequence[Any]:
        """Return a few prepared images."""
        if isinstance(self.prepare, PixelPreparation):
            return [self.prepare.pixels(np.asarray(image)) for image in probe_images()]
        return probe_images()


class ChatIntake:
    """A conversation with one image and one question: Qwen2.5-VL, SmolVLM, LLaVA and the like."""

    mixes = True

    def __init__(self, processor: Any, prompt: str, longest_edge: int) -> None:
        self._processor = processor
        self._processor.tokenizer.padding_side = "left"
        self._own = prompt
        first = processor.tokenizer.bos_token
        text = self._text(prompt)
        self._starts = first is not None and text.startswith(first)  # then not added again
        self.prepare: Callable[[bytes], Any] = ProcessorPreparation(longest_edge)

    def collate(self, items: Sequence[Any], prompts: Sequence[str] | None = None) -> Inputs:
        """Return the output of the model's own processor for the images and conversations."""
        made = self._processor(
            text=[self._text(prompt) for prompt in prompts or [self._own] * len(items)],
            images=[[image] for image in items],
            padding=True,
            return_tensors="pt",
            add_special_tokens=not self._starts,
        )
        return dict(made)

    def _text(self, prompt: str) -> str:
        content = [{"type": "image"}, {"type": "text", "text": prompt}]
        text: str = self._processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True
        )
        return text

    def arrived(self, inputs: Inputs) -> Inputs:
        """Return the inputs unchanged."""
        return inputs

    def unwritten(self, inputs: Inputs) -> int:
        """Return the length of the conversation before the answers."""
        return int(inputs["input_ids"].shape[1])

    def texts(self, tokens: torch.Tensor) -> list[str]:
        """Return the answers."""
        texts: list[str] = self._processor.batch_decode(tokens, skip_special_tokens=True)
        return texts

    def probes(self) -> Sequence[Any]:
        """Return a few images."""
        return probe_images()


def _is_word_piece(tokenizer: Any) -> bool:
    """Return whether a vocabulary is WordPiece, as BERT's, which loses where spaces were."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return backend is not None and isinstance(backend.model, WordPiece)
