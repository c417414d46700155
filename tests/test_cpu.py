"""How many cores this process may use."""

import os
import subprocess
import sys

import pytest

PROGRAM = "from fondant_spec.cpu import cpu_count; print(cpu_count())"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux alone can bind a process")
def test_the_cores_of_this_process():
    """A process that is bound to one core counts one."""
    bound = f"import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); {PROGRAM}"
    printed = subprocess.run([sys.executable, "-c", bound], capture_output=True, check=True)
    assert printed.stdout == b"1\n"


def test_a_quota():
    """Who shares a machine may name a smaller number."""
    environment = {**os.environ, "LOKY_MAX_CPU_COUNT": "1"}
    command = [sys.executable, "-c", PROGRAM]
    assert (
        subprocess.run(command, capture_output=True, check=True, env=environment).stdout == b"1\n"
    )
