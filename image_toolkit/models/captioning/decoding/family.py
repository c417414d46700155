"""The parts of a captioner that a decoder of our own calls.

Each family leans on private parts of transformers: see `caption_decoder.decoder_for`, the way in.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

Inputs = Mapping[str, torch.Tensor]
Project = Callable[[torch.Tensor], torch.Tensor]
"""Takes and returns values of shape (rows, tokens, width)."""


@dataclass(frozen=True)
class Attention:
    """What an attention is made of.

    `finish` takes what was attended to and what came in, and returns what goes on, all of shape
    (rows, tokens, width).
    """

    query: Project
    key: Project
    value: Project
    finish: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Layer:
    """What a layer is made of: attention to the words, to the image, and two wide products."""

    words: Attention
    image: Attention
    widen: Project


@dataclass(frozen=True)
class TextDecoder:
    """What makes words of an image.

    `embed` takes tokens (rows, tokens) and their places (tokens,); `logits` the last values of each
    row (rows, width), and returns (rows, vocabulary).
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
    """Tokens that end a caption, fill up behind it, and have to come first and last in it."""

    ends: tuple[int, ...]
    padding: int
    first: tuple[int, ...] = ()
    last: tuple[int, ...] = ()


@dataclass(frozen=True)
class Family:
    """A captioner as its decoder sees it.

    `see` returns what an image tower makes of the inputs of `generate`, (images, tokens, width);
    `begin` the tokens that a caption begins with, the same for all images of a batch.
    """

    text: TextDecoder
    tokens: SpecialTokens
    see: Callable[[Inputs], torch.Tensor]
    begin: Callable[[Inputs], list[int]]


def special_tokens(own: Any, ends: int | Sequence[int], padding: int | None) -> SpecialTokens:
    """Return the tokens that `generate` takes by a configuration, and by its arguments."""
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
