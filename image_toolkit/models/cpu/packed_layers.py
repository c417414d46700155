"""Linear layers on a CPU, their weights laid out once for oneDNN, in fp32 or bf16.

Measured on one core: in bf16 on Zen 5 such a layer, with the activation inside the same kernel,
runs at 490 GFLOP/s; the plain layer and its GELU at 280 to 300. In fp32 it is as fast as PyTorch's
own library on Intel, and faster on AMD. There the activation may be faster beside the kernel, which
a trial tells: on Zen 3, whose AVX2 oneDNN computes it with, by a tenth to a quarter of the layer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import torch
from torch import nn

from image_toolkit.models.runtime.preparation import Normalise
from image_toolkit.models.runtime.scaled_layers import linear

_ROWS_HINT: Final = 1024


@dataclass(frozen=True)
class Activation:
    """What is done with a layer's values: as oneDNN calls it, and in place on a tensor."""

    kernel: str = "none"
    algorithm: str = ""
    apply: Callable[[torch.Tensor], torch.Tensor] = lambda values: values


_NONE: Final = Activation()


class MakeLayer(Protocol):
    """Makes a fast layer of a plain one, which is let go."""

    def __call__(self, linear: nn.Linear, activation: Activation = ...) -> nn.Module:
        """Return a layer that takes and gives what `linear` and then `activation` would."""


class PackedLinear(nn.Module):  # type: ignore[misc]  # torch has no types
    """A linear layer with its weight laid out for oneDNN, and an activation.

    That is computed `inside` the product's kernel or, after it, in place.
    """

    def __init__(
        self,
        linear: nn.Linear,
        activation: Activation = Activation(),
        *,
        dtype: torch.dtype,
    ) -> None:
        """Take over a layer; `dtype` is that of the weights and of the values that it takes."""
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        # Some models look at the type of a layer's weight; the values are in the packed one.
        self.weight = torch.empty(0, dtype=dtype)
        weight = linear.weight.detach().to(dtype).contiguous()
        self.weight_bytes: int = weight.nbytes
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS_HINT)  # noqa: SLF001 - no public name
        self.bias = None if linear.bias is None else linear.bias.detach().to(dtype)
        self.activation = activation
        self.inside = True

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the activated values, of shape (..., features out)."""
        inside = self.activation if self.inside else _NONE
        product = torch.ops.mkldnn._linear_pointwise(  # noqa: SLF001 - no public name
            values, self._weight, self.bias, inside.kernel, [], inside.algorithm
        )
        return product if self.inside else self.activation.apply(product)


class PackedPatches(nn.Module):  # type: ignore[misc]  # torch has no types
    """A convolution whose windows do not overlap, as a fast linear layer over patches.

    With `normalise` it takes pixels as they are, which bf16 holds exactly up to 256.
    """

    def __init__(
        self,
        convolution: nn.Conv2d,
        make: MakeLayer,
        normalise: Normalise | None = None,
    ) -> None:
        """Take over the weights of a convolution, and the normalising before it."""
        super().__init__()
        weight, bias = convolution.weight.detach(), convolution.bias
        if normalise is not None:
            factor, shift = (values.view(-1, 1, 1) for values in normalise.constants())
            moved = -(weight * shift).sum((1, 2, 3))
            weight, bias = weight * factor, moved if bias is None else bias.detach() + moved
        # Colours last, as they lie in the memory: a row of a window is copied in one piece.
        self._linear = make(linear(weight.permute(0, 2, 3, 1).flatten(1), bias))
        self._side = convolution.kernel_size
        self.weight = self._linear.weight

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return what the convolution returns: (batch, features, rows, columns)."""
        batch, colours, height, width = pixels.shape
        rows, columns = height // self._side[0], width // self._side[1]
        cut = pixels[:, :, : rows * self._side[0], : columns * self._side[1]]
        windows = cut.reshape(batch, colours, rows, self._side[0], columns, self._side[1])
        patches = windows.permute(0, 2, 4, 3, 5, 1).reshape(batch, rows * columns, -1)
        values = self._linear(patches.to(self.weight.dtype))
        return values.transpose(1, 2).unflatten(2, (rows, columns))


class ColoursFirst(nn.Module):  # type: ignore[misc]  # torch has no types
    """Stands where pixels were normalised, once their normalising is in the weights."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return pixels (batch, height, width, 3) as (batch, 3, height, width)."""
        return pixels.permute(0, 3, 1, 2)
