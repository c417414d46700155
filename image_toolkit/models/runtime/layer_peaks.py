"""How near the values between a model's layers come to the end of their type's range."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


def range_used(module: nn.Module, run: Callable[[], Any]) -> float:
    """Return the largest value that any layer gives, as a share of what its type can hold.

    In fp16, where 65,504 is the end, values that go beyond come out infinite, and a later layer may
    hide that. Infinite, or no number: some did.

    Args:
        module: the model, whose layers are watched.
        run: runs it, on what it is to be judged by.
    """
    peaks: list[torch.Tensor] = []

    def watch(_module: nn.Module, _inputs: Any, output: Any) -> None:
        # Not read here, which would wait for the device at each layer.
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
