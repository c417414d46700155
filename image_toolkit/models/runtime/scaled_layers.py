"""Linear layers with a factor of the neighbouring activation folded into their weights."""

from typing import Final

import torch
from torch import nn

QUICK: Final = 1.702
"""QuickGELU(x) = SiLU(1.702 x) / 1.702: one kernel instead of three, with factors in weights."""


def scaled(layer: nn.Linear, weight: float = 1.0, bias: float = 1.0) -> nn.Linear:
    """Return a layer with its weights and its bias multiplied."""
    moved = None if layer.bias is None else layer.bias.detach() * bias
    return linear(layer.weight.detach() * weight, moved)


def linear(weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Linear:
    """Return a layer with these weights, shape (features out, features in)."""
    layer = nn.Linear(1, 1, bias=bias is not None)
    layer.weight = nn.Parameter(weight, requires_grad=False)
    layer.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
    layer.out_features, layer.in_features = weight.shape
    return layer
