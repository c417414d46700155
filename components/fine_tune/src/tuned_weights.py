"""The trained weights of a UNet: all of them, or a LoRA on its attention; and their EMA."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import torch
from tuning_settings import LORA

_ATTENTION: Final = ("to_k", "to_q", "to_v", "to_out.0")
"""The layers of each attention block that diffusers' scripts put a LoRA on."""


class TunedWeights:
    """The trained weights, by name, in fp32; all others are frozen.

    Attributes:
        unet: on the device; its frozen weights have the given dtype.
        parameters: for the optimiser.
    """

    def __init__(
        self,
        unet: Any,
        *,
        method: str,
        rank: int,
        seed: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        """Prepare a UNet that is on the CPU."""
        self.unet = unet
        self.method = method
        if method == LORA:
            unet.requires_grad_(requires_grad=False)
            unet.to(dtype=dtype)
            _add_lora(unet, rank, seed)
        unet.to(device)
        unet.train()
        self._named = {name: one for name, one in unet.named_parameters() if one.requires_grad}
        self.parameters = list(self._named.values())
        self._average: Any = None

    def average(self) -> None:
        """Maintain a moving average from now on."""
        from diffusers.training_utils import EMAModel  # noqa: PLC0415 - after torch was prepared

        self._average = EMAModel(self.parameters)

    def stepped(self) -> None:
        """Update the moving average after a step."""
        if self._average is not None:
            self._average.step(self.parameters)

    @contextmanager
    def best(self) -> Iterator[Any]:
        """Yield the UNet with the moving average of its weights, if there is one."""
        if self._average is None:
            yield self.unet
            return
        self._average.store(self.parameters)
        self._average.copy_to(self.parameters)
        try:
            yield self.unet
        finally:
            self._average.restore(self.parameters)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the trained tensors, by name, and their moving average under `average/`."""
        found: dict[str, torch.Tensor] = dict(self._named)
        if self._average is not None:
            shadows = zip(self._named, self._average.shadow_params, strict=True)
            found |= {f"average/{name}": shadow for name, shadow in shadows}
        return found

    def load(self, tensors: Mapping[str, torch.Tensor], steps: int) -> None:
        """Restore the output of `tensors`, after that many steps."""
        with torch.no_grad():
            for name, own in self.tensors().items():
                own.copy_(tensors[name])
        if self._average is not None:
            self._average.optimization_step = steps


def _add_lora(unet: Any, rank: int, seed: int) -> None:
    from diffusers.training_utils import cast_training_params  # noqa: PLC0415 - as above
    from peft import LoraConfig  # noqa: PLC0415

    config = LoraConfig(
        r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=list(_ATTENTION)
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet.add_adapter(config)
    cast_training_params(unet, dtype=torch.float32)
