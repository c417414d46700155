"""The last layer of CLIP's image tower, computed only for the token that is used.

CLIP makes the image vector from the first token. The last layer needs all tokens as keys and
values, but its query, its projection and its MLP are computed for that token alone, which saves 7 %
of the multiplications of ViT-B/32 and 3 % of those of ViT-L/14.
"""

from types import MethodType
from typing import Any

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from transformers.models.clip.modeling_clip import CLIPVisionModel


def only_first_token(model: nn.Module) -> None:
    """Make the CLIP image towers in a model return only their first token, in place."""
    for tower in model.modules():
        if isinstance(tower, CLIPVisionModel):
            layer = tower.encoder.layers[-1]
            layer.forward = MethodType(_last_layer, layer)


def _last_layer(layer: Any, hidden_states: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    """Replace the forward of a layer; returns (batch, 1, width)."""
    values = layer.layer_norm1(hidden_states)
    attention = layer.self_attn
    query, key, value = (
        project(tokens).unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
        for project, tokens in (
            (attention.q_proj, values[:, :1]),
            (attention.k_proj, values),
            (attention.v_proj, values),
        )
    )
    attended = scaled_dot_product_attention(query, key, value, scale=attention.scale)
    first = hidden_states[:, :1] + attention.out_proj(attended.transpose(1, 2).flatten(2))
    return first + layer.mlp(layer.layer_norm2(first))
