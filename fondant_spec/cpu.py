"""Core limits: how many cores a process may use, and the environment that libraries take them from.

In a container, the cores are not those of the machine. Libraries read their environment when they
are loaded, so whatever starts a process has to set it.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from loky.backend.context import cpu_count

__all__ = [
    "PATIENT",
    "core_variables",
    "cpu_count",
    "environment",
    "patient",
    "shared_cores",
    "wait_patiently",
]

PATIENT: Final = {"GOMP_SPINCOUNT": "1000", "OMP_WAIT_POLICY": "PASSIVE"}
"""Makes waiting OpenMP threads give up their core after about ten microseconds.

Others need the core: the thread that is being waited for, or another process on the machine. The
default is to spin for three milliseconds, which `benchmarks/neighbours.py` measures. Giving it up
at once, as PASSIVE alone does, is a third slower on an otherwise idle machine.
"""


def patient(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that make threads wait this way; none if `environment` sets its own."""
    return {} if any(name in environment for name in PATIENT) else dict(PATIENT)


def wait_patiently() -> None:
    """Make the threads of libraries that this process loads from now on wait this way."""
    os.environ.update(patient(os.environ))


def core_variables(cores: int) -> dict[str, str]:
    """Return the environment variables that limit a process to a number of cores."""
    return {"LOKY_MAX_CPU_COUNT": str(cores), "OMP_NUM_THREADS": str(cores)}


@contextmanager
def shared_cores(processes: int) -> Iterator[None]:
    """Give each of `processes` processes, started inside the context, its share of the cores.

    The number of OpenMP threads is capped at that share, or at a lower limit that was already set.
    """
    cores = max(1, cpu_count() // processes)
    share = core_variables(cores)
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and 0 < int(asked) < cores:
        share["OMP_NUM_THREADS"] = asked
    with environment(share):
        yield


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the processes that are started inside the context."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value
