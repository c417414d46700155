"""The device that a model runs on, and its precision."""

import time
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, Self

import torch

from fondant_spec.errors import InvalidArgumentError
from image_toolkit.models.runtime.checked_versions import checked, installed, private_parts_usable

EXACT: Final = "fp32"
"""The precision that others are compared with."""

_DTYPES: Final = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "int8": torch.float32,
}
_TYPES: Final = ("cpu", "cuda")
_TRIED_ROWS, _TRIED_WIDTH, _TRIES = 256, 1024, 7


@dataclass(frozen=True)
class Placement:
    """A device and a precision: fp32, bf16, fp16 or int8.

    `others` are precisions that are as fast there: a trial finds which is closest to fp32.
    """

    device: torch.device
    precision: str
    others: tuple[str, ...] = ()

    @property
    def dtype(self) -> torch.dtype:
        """The type of the values between layers; with int8, only the products are of bytes."""
        return _DTYPES[self.precision]

    @property
    def is_cuda(self) -> bool:
        """True on a GPU, where copies and computation may overlap."""
        return bool(self.device.type == "cuda")

    def alike(self) -> list[Self]:
        """Return the placements that a trial compares, the likeliest winner last."""
        return [replace(self, precision=name, others=()) for name in (self.precision, *self.others)]

    def closer(self) -> list[Self]:
        """Return the fallbacks, in order, if this placement deviates from fp32; fp32 is last."""
        faster = [_fastest(self.device)] if self.precision == "int8" else []
        names = dict.fromkeys((*faster, EXACT))
        return [replace(self, precision=name, others=()) for name in names]

    def __str__(self) -> str:
        """Return the placement as it is logged and recorded: `cpu bf16`."""
        return f"{self.device} {self.precision}"


def devices(name: str = "auto") -> list[torch.device]:
    """Return the devices to use: `auto` means all GPUs, or else the CPU.

    Raises:
        InvalidArgumentError: this machine has no such device.
    """
    if name == "auto":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        return [torch.device("cuda", index) for index in range(count)] or [torch.device("cpu")]
    device = _named(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        msg = f"device: {name!r} asked for, but this machine has {torch.cuda.device_count()} GPUs."
        raise InvalidArgumentError(msg)
    return [device]


def place(device: torch.device, precision: str) -> Placement:
    """Return the placement for a device; `auto` is the fastest precision there, other than int8.

    A GPU with tensor cores for bf16 is as fast in fp16, which has three more bits of precision but
    ends at 65,504: which of the two is closer to fp32 depends on the model and the images.

    Raises:
        InvalidArgumentError: the precision is slow on the device, or not supported.
    """
    if precision == "auto":
        fastest = _fastest(device)
        others = ("fp16",) if device.type == "cuda" and fastest == "bf16" else ()
        return Placement(device, fastest, others)
    if precision == "fp16" and device.type == "cpu":
        msg = "precision: fp16 is slower than fp32 on a CPU; use auto, bf16 or fp32."
        raise InvalidArgumentError(msg)
    if precision == "bf16" and device.type == "cpu" and _lacks_bf16():
        msg = "precision: bf16 runs only on CPUs that have AVX-512 or bf16; use auto or fp32."
        raise InvalidArgumentError(msg)
    if precision == "int8" and not private_parts_usable():
        raise unable_in_int8()
    if precision == "int8" and not _multiplies_bytes(device):
        msg = "precision: int8 runs only on CPUs that have VNNI; use auto."
        raise InvalidArgumentError(msg)
    return Placement(device, precision)


def unable_in_int8() -> InvalidArgumentError:
    """Return the error for int8 without private parts, which its layers need."""
    return InvalidArgumentError(
        f"precision: int8 does not run with {installed()}; use auto, or versions it was checked "
        f"with: {checked()}."
    )


@cache
def multiplies_in_bf16() -> bool:
    """Return whether this machine's CPU multiplies faster in bf16 than in fp32.

    Measured, which takes a fraction of a second. The CPU's feature flags are not enough: an Intel
    Xeon with AVX-512 BF16 but no AMX is half as fast in bf16 as in fp32, and a Zen 5 is four times
    as fast.
    """
    if _lacks_bf16():
        return False
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # one thread's CPU time hardly depends on other load
    tries = [(_seconds(torch.bfloat16), _seconds(torch.float32)) for _ in range(_TRIES)]
    torch.set_num_threads(threads)
    in_bf16, in_fp32 = zip(*tries, strict=True)
    return bool(min(in_bf16) < min(in_fp32))


def _seconds(dtype: torch.dtype) -> float:
    """Return the CPU time of a product in this thread."""
    values = torch.ones(_TRIED_ROWS, _TRIED_WIDTH, dtype=dtype)
    weight = torch.ones(_TRIED_WIDTH, _TRIED_WIDTH, dtype=dtype)
    start = time.thread_time()
    torch.nn.functional.linear(values, weight)
    return time.thread_time() - start


def _named(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in _TYPES:
        msg = f"device: {name!r} is none that models run on; use auto, cpu, cuda or cuda:<number>."
        raise InvalidArgumentError(msg)
    return device


def _fastest(device: torch.device) -> str:
    if device.type == "cuda":
        return "bf16" if _gpu_has_bf16(device) else "fp16"
    return "bf16" if multiplies_in_bf16() else "fp32"


def _gpu_has_bf16(device: torch.device) -> bool:
    """Return whether a GPU supports bf16; PyTorch assumes it for all of AMD's."""
    capability: tuple[int, int] = torch.cuda.get_device_capability(device)
    return torch.version.hip is not None or capability >= (8, 0)


def _lacks_bf16() -> bool:
    """Return whether oneDNN is used on this CPU, without support for bf16."""
    if not torch.backends.mkldnn.is_available():
        return False
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    if supported is None or not private_parts_usable():
        return "AVX512" not in torch.backends.cpu.get_cpu_capability()
    return not supported()


def _multiplies_bytes(device: torch.device) -> bool:
    return bool(
        device.type == "cpu"
        and torch.backends.mkldnn.is_available()
        and getattr(torch.cpu, "_is_vnni_supported", bool)()  # there is no public name
    )
