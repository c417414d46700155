"""One decoding step: everything between two tokens, without waiting for the device."""

from collections.abc import Sequence
from typing import Final

import torch
from torch.nn.functional import scaled_dot_product_attention

from image_toolkit.models.captioning.decoding.family import Attention, TextDecoder
from image_toolkit.models.captioning.decoding.rules import Clock
from image_toolkit.models.captioning.decoding.search import Beams, Memory, OneByOne

_KINDS: Final = ("keys", "values")


def word_memory(
    text: TextDecoder, shape: tuple[int, ...], length: int, like: torch.Tensor
) -> Memory:
    """Allocate memory for the keys of so many tokens; `shape` is (images, rows of an image)."""
    return _keys(text, (*shape, text.heads, length, text.head_width), like)


def image_memory(
    text: TextDecoder, shape: tuple[int, int], device: torch.device, dtype: torch.dtype
) -> Memory:
    """Allocate memory for the keys of images; `shape` is (images, tokens of an image)."""
    images, tokens = shape
    one = torch.empty(0, device=device, dtype=dtype)
    return _keys(text, (images, text.heads, tokens, text.head_width), one)


def _keys(text: TextDecoder, shape: tuple[int, ...], like: torch.Tensor) -> Memory:
    """Allocate memory for the keys and values of each layer."""
    names = [f"{kind} {number}" for number in range(len(text.layers)) for kind in _KINDS]
    return {name: like.new_zeros(shape) for name in names}


class Step:
    """Advances all images in memory by one token."""

    def __init__(
        self,
        text: TextDecoder,
        images: Memory,
        words: Memory,
        search: OneByOne | Beams,
        clock: Clock,
    ) -> None:
        self._text = text
        self._search = search
        self._clock = clock
        layers = range(len(text.layers))
        self._images = [[images[f"{kind} {n}"] for kind in _KINDS] for n in layers]
        self._words = [[words[f"{kind} {n}"].flatten(0, 1) for kind in _KINDS] for n in layers]

    def see(self, seen: torch.Tensor) -> None:
        """Store the keys and values of an image tower's output."""
        for layer, kept in zip(self._text.layers, self._images, strict=True):
            for project, values in zip((layer.image.key, layer.image.value), kept, strict=True):
                values[: len(seen)] = self._by_head(project(seen))

    def read(self, tokens: int) -> None:
        """Read so many tokens of a prompt, without choosing one."""
        places = torch.arange(tokens, device=self._clock.last.device)
        self._values(places)

    def logits(self) -> torch.Tensor:
        """Read the last token of each row; return the logits of the next, (rows, vocabulary)."""
        values = self._values(self._clock.last)
        return self._text.logits(values)[:, -1].float()

    def __call__(self) -> None:
        """Read the last token of each row, and choose the next one."""
        following = self._search.take(self.logits())
        if following is not None:
            for kept in self._words:
                for part in kept:
                    part.copy_(part.index_select(0, following))
        self._clock.last.add_(1)

    def _values(self, places: torch.Tensor) -> torch.Tensor:
        """Return the hidden states of the tokens at some positions, (rows, places, width)."""
        tokens = self._search.memory["tokens"].flatten(0, 1).index_select(1, places)
        values = self._text.embed(tokens, places)
        length = self._words[0][0].shape[2]
        known = torch.arange(length, device=places.device) <= places[:, None]
        for layer, words, image in zip(self._text.layers, self._words, self._images, strict=True):
            values = self._attend_to_words(layer.words, words, values, places, known)
            values = self._attend_to_image(layer.image, image, values)
            values = layer.widen(values)
        return values

    def _attend_to_words(
        self,
        attention: Attention,
        kept: Sequence[torch.Tensor],
        values: torch.Tensor,
        places: torch.Tensor,
        known: torch.Tensor,
    ) -> torch.Tensor:
        for project, all_values in zip((attention.key, attention.value), kept, strict=True):
            all_values.index_copy_(2, places, self._by_head(project(values)).to(all_values.dtype))
        return self._attend(attention, attention.query(values), values, kept, known)

    def _attend_to_image(
        self, attention: Attention, kept: Sequence[torch.Tensor], values: torch.Tensor
    ) -> torch.Tensor:
        """Attend to the image of each row; the rows of an image count as further queries."""
        queries = attention.query(values)
        return self._attend(
            attention, queries.reshape(len(kept[0]), -1, queries.shape[-1]), values, kept, None
        )

    def _attend(
        self,
        attention: Attention,
        queries: torch.Tensor,
        values: torch.Tensor,
        kept: Sequence[torch.Tensor],
        known: torch.Tensor | None,
    ) -> torch.Tensor:
        keys, of_keys = kept
        attended = _attended(self._by_head(queries).to(keys.dtype), keys, of_keys, known)
        together = attended.transpose(1, 2).reshape(*values.shape[:-1], -1)
        return attention.finish(together.to(values.dtype), values)

    def _by_head(self, values: torch.Tensor) -> torch.Tensor:
        return values.unflatten(-1, (self._text.heads, -1)).transpose(1, 2)


def _attended(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, known: torch.Tensor | None
) -> torch.Tensor:
    """Compute attention, (batch, heads, queries, width).

    On a CPU by two products: for the single query of a token, they take a tenth of the time of the
    fused kernel in bf16 (577 keys, Zen 5), which is made for many queries, and six sevenths in
    fp32.
    """
    if queries.is_cuda:
        return scaled_dot_product_attention(queries, keys, values, attn_mask=known)
    scores = torch.matmul(queries * queries.shape[-1] ** -0.5, keys.transpose(2, 3)).float()
    if known is not None:
        scores = scores.masked_fill(~known, -torch.inf)
    return torch.matmul(scores.softmax(-1).to(values.dtype), values)
