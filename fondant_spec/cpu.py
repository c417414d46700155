"""How many cores a process may use, and the environment that has the libraries in it keep to them.

In a container the cores are not the machine's. Libraries read their environment when they are
loaded, so it is set by whatever starts a process.
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
"""Has threads of OpenMP give up their core when they have waited for some ten microseconds.

Others need it: a thread that is waited for, or the neighbour on the machine. By themselves they
keep it for three milliseconds; `benchmarks/neighbours.py` tells what that costs. Who gives it up at
once, as PASSIVE alone has it, is slower by a third when nobody else is there.
"""


def patient(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that have threads wait so; none where an environment says how."""
    return {} if any(name in environment for name in PATIENT) else dict(PATIENT)


def wait_patiently() -> None:
    """Have the threads of libraries that this process loads from now on wait so."""
    os.environ.update(patient(os.environ))


def core_variables(cores: int) -> dict[str, str]:
    """Return the environment of a process that is to use so many cores."""
    return {"LOKY_MAX_CPU_COUNT": str(cores), "OMP_NUM_THREADS": str(cores)}


@contextmanager
def shared_cores(processes: int) -> Iterator[None]:
    """Have each of so many processes, which are started meanwhile, use its share of the cores.

    It has no more threads of OpenMP than that, and fewer where fewer were asked for.
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
    """Have processes that are started meanwhile get some variables."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value
