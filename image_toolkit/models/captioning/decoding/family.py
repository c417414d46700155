"""The parts of a captioner that our own decoder uses.

Each family relies on private parts of transformers: see `caption_decoder.decoder_for`, which guards
them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

Inputs = Mapping[str, torch.Tensor]
Project = Callable[[torch.Tensor], torch.Tensor]
"""Takes and returns values, shape (rows, tokens, width)."""


@dataclass(frozen=True)
class Attention:
    """The parts of an attention layer.

    `finish` takes the attended values and the layer's inputs, and returns its outputs, all of shape
    (rows, tokens, width).
    """

    query: Project
    key: Project
    value: Project
    finish: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Layer:
    """The parts of a layer: self-attention, cross-attention to the image, and an MLP."""

    words: Attention
    image: Attention
    widen: Project


@dataclass(frozen=True)
class TextDecoder:
    """The text decoder of a captioner.

    `embed` takes tokens (rows, tokens) and their positions (tokens,); `logits` takes the last
    hidden state of each row (rows, width), and returns (rows, vocabulary).
    """

    embed: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    layers: Sequence[Layer]
    logits: Project
    heads: int
    head_width: int
    vocabulary: int
    longest: int


@dataclass(frozen=True)
class SpecialTokens:
    """Tokens that end a caption, pad it, and must come first and last."""

    ends: tuple[int, ...]
    padding: int
    first: tuple[int, ...] = ()
    last: tuple[int, ...] = ()


@dataclass(frozen=True)
class Family:
    """A captioner, as its decoder uses it.

    `see` returns the image tower's output for the inputs of `generate`, (images, tokens, width);
    `begin` returns the tokens that a caption begins with, the same for all images of a batch.
    """

    text: TextDecoder
    tokens: SpecialTokens
    see: Callable[[Inputs], torch.Tensor]
    begin: Callable[[Inputs], list[int]]


def special_tokens(own: Any, ends: int | Sequence[int], padding: int | None) -> SpecialTokens:
    """Return the special tokens that `generate` takes from a configuration and its arguments."""
    all_ends = _all(ends)
    return SpecialTokens(
        all_ends,
        all_ends[0] if padding is None else padding,
        _all(own.forced_bos_token_id),
        _all(own.forced_eos_token_id),
    )


def _all(tokens: int | Sequence[int] | None) -> tuple[int, ...]:
    if tokens is None:
        return ()
    return (tokens,) if isinstance(tokens, int) else tuple(tokens)
