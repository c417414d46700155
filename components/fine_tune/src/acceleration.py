"""The device and precision of training: accelerate's choice, within the arguments."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch

from fondant_spec.errors import InvalidArgumentError
from image_toolkit.models.runtime.device import devices

WHOLE: Final = "no"
_DTYPES: Final = {WHOLE: torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def chosen_precision(device: str, mixed_precision: str | None, processes: int) -> str:
    """Return `no`, `fp16` or `bf16`: as requested, or the best that the device supports.

    Raises:
        InvalidArgumentError: there are not enough devices, or they do not support it.
    """
    found = devices(device)
    kind = found[0].type
    if kind == "cuda" and processes > len(found):
        msg = (
            f"fine_tune: argument 'num_processes' is {processes}, and there are {len(found)} GPUs "
            f"(device {device!r}): ask for no more than there are."
        )
        raise InvalidArgumentError(msg)
    if mixed_precision is None:
        if kind == "cpu":
            return WHOLE
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if kind == "cpu" and mixed_precision == "fp16":
        msg = "fine_tune: mixed_precision fp16 needs a GPU; use no or bf16, or leave it out."
        raise InvalidArgumentError(msg)
    return mixed_precision


@contextmanager
def accelerated(device: str, precision: str) -> Iterator[Any]:
    """Yield accelerate's `Accelerator`; its process-wide state is reset afterwards."""
    from accelerate import Accelerator  # noqa: PLC0415 - takes a second
    from accelerate.state import AcceleratorState  # noqa: PLC0415

    chosen = devices(device)[0]
    if chosen.type == "cuda" and "LOCAL_RANK" not in os.environ:  # else accelerate does it
        torch.cuda.set_device(chosen)
    accelerator = Accelerator(mixed_precision=precision, cpu=chosen.type == "cpu")
    try:
        yield accelerator
    finally:
        accelerator.free_memory()
        if accelerator.num_processes > 1:
            accelerator.end_training()
        # Its settings are process-wide: another training in it could not have others.
        AcceleratorState._reset_state(reset_partial_state=True)  # noqa: SLF001


def frozen_dtype(precision: str) -> torch.dtype:
    """Return the dtype of the UNet's inputs, and of the frozen weights."""
    return _DTYPES[precision]


def device_name(device: torch.device) -> str:
    """Return the name of a device: `cpu`, or the model of a GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
