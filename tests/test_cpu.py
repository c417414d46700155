"""The cores that a process may use are fewer than the machine's where somebody said so."""

import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from fondant_spec.cpu import core_variables, cpu_count, shared_cores

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


def multiplying_threads():
    """Return the cores that this process counts, and the threads that NumPy and torch have."""
    np.zeros(1)
    pools = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    return cpu_count(), max(pools), torch.get_num_threads()


@pytest.mark.parametrize(("processes", "share"), [(1, cpu_count()), (cpu_count(), 1), (1000, 1)])
def test_processes_share_the_cores(processes, share, monkeypatch):
    """Each has its share, and the libraries in it no more threads; afterwards all is as before."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = dict(os.environ)
    with shared_cores(processes), ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert pool.submit(multiplying_threads).result() == (share, share, share)
    assert dict(os.environ) == before


def test_a_number_of_threads_that_somebody_set_stays(monkeypatch):
    """OpenMP's own variable, as its users know it."""
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    with shared_cores(1000):
        assert os.environ["OMP_NUM_THREADS"] == "3"
        assert cpu_count() == 1
    assert os.environ["OMP_NUM_THREADS"] == "3"


def test_a_process_of_few_cores():
    """What counts cores and what counts threads are told the same."""
    program = "from tests.test_cpu import multiplying_threads; print(multiplying_threads())"
    variables = os.environ | core_variables(1)
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, check=True, capture_output=True, text=True, env=variables)
    assert done.stdout == "(1, 1, 1)\n"
