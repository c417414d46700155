"""The fastest settings of a machine are detected, and unsupported ones refused."""

import os
import subprocess
import sys
from platform import machine

import pytest
import torch

from fondant_spec.errors import InvalidArgumentError
from image_toolkit.models.runtime import device
from image_toolkit.models.runtime.device import Placement, devices, multiplies_in_bf16, place

ON_X86 = torch.backends.mkldnn.is_available() and machine().lower() in ("x86_64", "amd64")
CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture
def untried():
    """Let the CPU be tried anew, before and after."""
    multiplies_in_bf16.cache_clear()
    yield
    multiplies_in_bf16.cache_clear()


@pytest.mark.usefixtures("untried")
@pytest.mark.parametrize(
    ("able", "seconds", "picked"),
    [
        (True, {torch.bfloat16: 1, torch.float32: 4}, "bf16"),
        (True, {torch.bfloat16: 2, torch.float32: 1}, "fp32"),
        (False, {}, "fp32"),
    ],
)
def test_auto_takes_what_is_faster_here(able, seconds, picked, monkeypatch):
    """A CPU that can multiply in bf16, of whatever make, gets bf16 only if that is faster."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)  # it is an ARM
    monkeypatch.setattr(device, "_lacks_bf16", lambda: not able)
    monkeypatch.setattr(device, "_seconds", seconds.__getitem__)
    assert place(CPU, "auto") == Placement(CPU, picked)
    assert torch.get_num_threads() == threads


def test_products_are_timed():
    """The trial takes a real product of the type it is asked for."""
    assert device._seconds(torch.float32) > 0
    assert device._seconds(torch.bfloat16) > 0


@pytest.mark.parametrize("where", [CPU, GPU])
def test_int8_needs_a_cpu_that_multiplies_bytes(where, monkeypatch):
    """Elsewhere int8 is refused, before anything is loaded."""
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: where == GPU)
    with pytest.raises(InvalidArgumentError) as caught:
        place(where, "int8")
    assert str(caught.value) == "precision: int8 runs only on CPUs that have VNNI; use auto."


@pytest.mark.skipif(not ON_X86, reason="other CPUs cannot be told to hide what they can do")
def test_bf16_needs_a_cpu_that_has_it():
    """On an x86 CPU without AVX-512, for which no layers of bf16 are made, bf16 is refused."""
    program = """
import torch
from fondant_spec.errors import InvalidArgumentError
from image_toolkit.models.runtime.device import place
CPU = torch.device("cpu")
print(place(CPU, "auto"))
try:
    place(CPU, "bf16")
except InvalidArgumentError as error:
    print(error)
"""
    told = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert told == [
        "cpu fp32",
        "precision: bf16 runs only on CPUs that have AVX-512 or bf16; use auto or fp32.",
    ]


@pytest.mark.parametrize("name", ["mps", "xpu", "hpu", "meta", "gpu"])
def test_other_devices_are_refused(name):
    """What torch knows of, and nothing here was tried on, is refused at once."""
    with pytest.raises(InvalidArgumentError) as caught:
        devices(name)
    assert str(caught.value) == (
        f"device: {name!r} is none that models run on; use auto, cpu, cuda or cuda:<number>."
    )


@pytest.mark.parametrize(
    ("capability", "hip", "tried"),
    [
        ((7, 5), None, ["fp16"]),
        ((8, 0), None, ["bf16", "fp16"]),
        ((9, 0), None, ["bf16", "fp16"]),
        ((7, 5), "6", ["bf16", "fp16"]),
    ],
)
def test_each_gpu_is_asked_for_itself(capability, hip, tried, monkeypatch):
    """Of several GPUs each gets what it has, whichever is torch's present one."""
    asked = []
    monkeypatch.setattr(
        torch.cuda, "get_device_capability", lambda gpu: asked.append(gpu) or capability
    )
    monkeypatch.setattr(torch.version, "hip", hip)
    second = torch.device("cuda", 1)
    assert place(second, "auto").alike() == [Placement(second, name) for name in tried]
    assert asked == [second]


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is Linux's")
def test_freed_memory_is_kept():
    """A tensor that comes after one of its size is let go needs no new pages of the system."""
    program = """
import resource, sys, torch
from image_toolkit.models.runtime.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
for _ in range(20):
    torch.ones(50_000_000, dtype=torch.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(50_000_000, dtype=torch.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    left, kept = (
        int(
            subprocess.run(
                [sys.executable, "-c", program, how], capture_output=True, check=True
            ).stdout
        )
        for how in ("leave", "keep")
    )
    assert left > 20 * 10_000  # pages of 4 KB
    assert kept < left / 2
