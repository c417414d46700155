"""BLIP's decoder reads an image's keys and values once, for all beams and candidates.

In `transformers` each beam has its own copy of them: 42 MB an image for BLIP base in fp32, made,
put in another order and read again with every token. All beams of an image see the same image.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from transformers.models.blip.modeling_blip_text import BlipTextLayer

from image_toolkit.models.runtime.device import Placement


class ImageKeys:
    """The keys and values of the images that are being captioned, by layer.

    All of them are read for every token, which takes as long as the memory needs to give them. So
    beside int8 weights they are bf16.
    """

    def __init__(self, model: nn.Module, placement: Placement) -> None:
        """Have the decoders of BLIP in a model attend to these, in place."""
        self._dtype = torch.bfloat16 if placement.precision == "int8" else placement.dtype
        self._images = 0
        self._made: dict[nn.Module, tuple[torch.Tensor, torch.Tensor]] = {}
        for layer in model.modules():
            if isinstance(layer, BlipTextLayer) and hasattr(layer, "crossattention"):
                attention = layer.crossattention.self
                attention.forward = partial(self._attend, attention)

    @contextmanager
    def of(self, images: int) -> Iterator[None]:
        """Keep keys and values while so many images are captioned."""
        self._images = images
        try:
            yield
        finally:
            self._made.clear()

    def _attend(
        self,
        attention: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        **_: Any,
    ) -> tuple[torch.Tensor, None]:
        """Stand in for the forward of a cross-attention: (rows, tokens, width) in and out."""
        if attention not in self._made:
            each = encoder_hidden_states[:: len(encoder_hidden_states) // self._images]
            self._made[attention] = tuple(
                self._by_head(attention, project(each)).to(self._dtype).contiguous()
                for project in (attention.key, attention.value)
            )
        # The beams of an image are so many more queries.
        queries = attention.query(hidden_states).reshape(self._images, -1, attention.all_head_size)
        attended = scaled_dot_product_attention(
            self._by_head(attention, queries).to(self._dtype), *self._made[attention]
        )
        return attended.transpose(1, 2).reshape(hidden_states.shape).to(hidden_states.dtype), None

    @staticmethod
    def _by_head(attention: Any, values: torch.Tensor) -> torch.Tensor:
        return values.unflatten(-1, (attention.num_attention_heads, -1)).transpose(1, 2)
