"""A process may be limited to fewer cores than the machine has."""

import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from fondant_spec.cpu import PATIENT, core_variables, cpu_count, shared_cores, wait_patiently

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


@pytest.mark.parametrize(
    ("asked", "told"),
    [("1", "1"), (str(cpu_count() + 5), str(cpu_count())), ("4,2", str(cpu_count()))],
)
def test_fewer_threads_stay_fewer(asked, told, monkeypatch):
    """What somebody set holds where it is less than the share: a runner sets all cores."""
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    with shared_cores(1):
        assert os.environ["OMP_NUM_THREADS"] == told
    assert os.environ["OMP_NUM_THREADS"] == asked


def test_waiting_threads_of_this_process(monkeypatch):
    """Both variables are set, or none where one of them says how threads wait."""
    for name in PATIENT:
        monkeypatch.delenv(name, raising=False)
    wait_patiently()
    assert {name: os.environ[name] for name in PATIENT} == PATIENT
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    wait_patiently()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    assert "GOMP_SPINCOUNT" not in os.environ


def test_a_process_of_few_cores():
    """What counts cores and what counts threads are told the same."""
    program = "from tests.test_cpu import multiplying_threads; print(multiplying_threads())"
    known = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    variables = known | core_variables(1)
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, check=True, capture_output=True, text=True, env=variables)
    assert done.stdout == "(1, 1, 1)\n"
