"""The cores that a process may use are fewer than the machine's where somebody said so."""

import os
import subprocess
import sys

import pytest

from fondant_spec.cpu import cpu_count

PINNED = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from fondant_spec.cpu import cpu_count
print(cpu_count())
"""


def test_a_quota_is_kept(monkeypatch):
    """LOKY_MAX_CPU_COUNT, as joblib's users know it, limits the cores; it adds none."""
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert cpu_count() == 1
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1000000")
    assert cpu_count() < 1_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux pins processes to cores")
def test_a_process_pinned_to_one_core_has_one():
    """The affinity mask, which `taskset` and batch systems set, counts, and not the machine."""
    words = [sys.executable, "-c", PINNED]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    assert int(done.stdout) == 1


def test_without_a_mask_there_is_a_count(monkeypatch):
    """Where Python has no affinity masks (macOS), the system is asked in another way."""
    expected = cpu_count()
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert cpu_count() == expected
