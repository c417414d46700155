"""What is fast on a machine is found out, and what it cannot do is refused."""

import subprocess
import sys

import pytest
import torch

from fondant_spec.errors import InvalidArgumentError
from fondant_spec.toolkit.models import device
from fondant_spec.toolkit.models.device import Placement, multiplies_in_bf16, place

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture
def untried():
    """Let the CPU be tried anew, before and after."""
    multiplies_in_bf16.cache_clear()
    yield
    multiplies_in_bf16.cache_clear()


@pytest.mark.usefixtures("untried")
@pytest.mark.parametrize(
    ("native", "seconds", "picked"),
    [
        (True, {torch.bfloat16: 1, torch.float32: 4}, "bf16"),
        (True, {torch.bfloat16: 2, torch.float32: 1}, "fp32"),
        (False, {}, "fp32"),
    ],
)
def test_auto_takes_what_is_faster_here(native, seconds, picked, monkeypatch):
    """A CPU that has bf16 instructions gets bf16 only if its products are faster with them."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
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


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is Linux's")
def test_freed_memory_is_kept():
    """A tensor that comes after one of its size is let go needs no new pages of the system."""
    program = """
import resource, sys, torch
from fondant_spec.toolkit.models.memory import keep_freed_memory
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
