"""How close the activations of a model come to the limit of their type."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


def range_used(module: nn.Module, run: Callable[[], Any]) -> float:
    """Return the largest output of any layer, as a fraction of the largest value of its type.

    In fp16, values beyond 65,504 become infinite, which a later layer may hide. A result that is
    infinite or NaN means that some did.

    Args:
        module: the model whose layers are watched.
        run: runs it, on the inputs to judge it by.
    """
    peaks: list[torch.Tensor] = []

    def watch(_module: nn.Module, _inputs: Any, output: Any) -> None:
        # Not read here, which would synchronise with the device at each layer.
        peaks.extend(
            values.detach().abs().amax().float() / torch.finfo(values.dtype).max
            for values in _tensors(output)
            if values.is_floating_point() and values.numel()
        )

    handles = [layer.register_forward_hook(watch) for layer in module.modules()]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return float(torch.stack(peaks).amax()) if peaks else 0.0


def _tensors(output: Any) -> list[torch.Tensor]:
    if isinstance(output, torch.Tensor):
        return [output]
    if isinstance(output, dict):
        output = tuple(output.values())
    several = output if isinstance(output, tuple) else ()
    return [one for one in several if isinstance(one, torch.Tensor)]
