"""Replace the attention of BLIP's image tower: its own class implements only a slow one.

It relies on private parts of transformers: see `shortcuts`, which guards such modules.
"""

from collections.abc import Callable
from functools import partial
from types import MethodType
from typing import Any

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from transformers.models.blip.modeling_blip import BlipAttention

Attend = Callable[..., tuple[torch.Tensor, None]]
"""An attention function with the signature of `transformers`; see `fused_attention`."""


def fused_attention(
    _module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
) -> tuple[torch.Tensor, None]:
    """Compute attention with PyTorch's kernel, fast on a GPU, and on a CPU in fp32.

    `query` is (batch, heads, tokens, width), and the result (batch, tokens, heads, width).
    """
    attended = scaled_dot_product_attention(query, key, value, attention_mask, scale=scaling)
    return attended.transpose(1, 2), None


def attend_with(attend: Attend, model: nn.Module) -> None:
    """Make BLIP's image towers in a model use an attention function, in place."""
    for module in model.modules():
        if isinstance(module, BlipAttention):
            module.forward = MethodType(partial(_forward, attend), module)


def _forward(
    attend: Attend, module: Any, hidden_states: torch.Tensor, **_: Any
) -> tuple[torch.Tensor, None]:
    """Replace the forward of an attention module: (images, tokens, width) in and out."""
    batch, tokens, width = hidden_states.shape
    mixed = module.qkv(hidden_states).view(batch, tokens, 3, module.num_heads, -1)
    query, key, value = mixed.permute(2, 0, 3, 1, 4)
    attended, _nothing = attend(module, query, key, value, None, module.scale)
    return module.projection(attended.reshape(batch, tokens, width)), None
