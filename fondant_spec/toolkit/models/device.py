"""Where a model runs, and how precisely."""

import logging
from dataclasses import dataclass
from typing import Final

import torch

from fondant_spec.errors import InvalidArgumentError

logger = logging.getLogger(__name__)

PRECISIONS: Final = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


@dataclass(frozen=True)
class Placement:
    """A device, and the type in which weights and activations are held there."""

    device: torch.device
    dtype: torch.dtype

    @property
    def is_cuda(self) -> bool:
        """True on a GPU, where copies and work may overlap."""
        return bool(self.device.type == "cuda")

    def __str__(self) -> str:
        """Return the placement as it is logged and recorded: `cpu bf16`."""
        return f"{self.device} {precision_name(self.dtype)}"


def precision_name(dtype: torch.dtype) -> str:
    """Return the name of a precision: the inverse of `PRECISIONS`."""
    return next(name for name, value in PRECISIONS.items() if value == dtype)


def devices(name: str = "auto") -> list[torch.device]:
    """Return the devices to use: `auto` is all GPUs, or else the CPU.

    Raises:
        InvalidArgumentError: there is no such device on this machine.
    """
    if name == "auto":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        return [torch.device("cuda", index) for index in range(count)] or [torch.device("cpu")]
    try:
        device = torch.device(name)
    except RuntimeError as error:
        msg = f"device: {name!r} is no device; use auto, cpu, cuda or cuda:<number>."
        raise InvalidArgumentError(msg) from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        msg = f"device: {name!r} asked for, but this machine has {torch.cuda.device_count()} GPUs."
        raise InvalidArgumentError(msg)
    return [device]


def place(device: torch.device, precision: str) -> Placement:
    """Return the placement for a device; `auto` is bf16 where the hardware multiplies in it.

    Raises:
        InvalidArgumentError: fp16 on a CPU, which has no fast multiplication for it.
    """
    if precision == "auto":
        return Placement(device, _fastest_dtype(device))
    if precision == "fp16" and device.type == "cpu":
        msg = "precision: fp16 is slower than fp32 on a CPU; use auto, bf16 or fp32."
        raise InvalidArgumentError(msg)
    return Placement(device, PRECISIONS[precision])


def _fastest_dtype(device: torch.device) -> torch.dtype:
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if fast else torch.float16
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # noqa: SLF001 - no public name
    return torch.bfloat16 if native else torch.float32
