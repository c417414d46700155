"""How many cores a process may use, and the environment that has the libraries in it keep to them.

In a container the cores are not the machine's. Libraries read their environment when they are
loaded, so it is set by whatever starts a process.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from loky.backend.context import cpu_count

__all__ = ["PATIENT", "core_variables", "cpu_count", "patient", "shared_cores"]

PATIENT: Final = {"GOMP_SPINCOUNT": "1000", "OMP_WAIT_POLICY": "PASSIVE"}
"""Has threads of OpenMP give up their core when they have waited for ten microseconds.

Others need it: a thread that is waited for, or the neighbour on the machine. By themselves they
keep it for three milliseconds, which makes a step six times as slow beside another of its kind.
Who gives it up at once, as PASSIVE alone has it, is slower by a third when nobody else is there.
"""


def patient(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment whose threads wait so, unless it says how they wait."""
    told = any(name in environment for name in PATIENT)
    return dict(environment) if told else PATIENT | dict(environment)


def core_variables(cores: int) -> dict[str, str]:
    """Return the environment of a process that is to use so many cores."""
    return {"LOKY_MAX_CPU_COUNT": str(cores), "OMP_NUM_THREADS": str(cores)}


@contextmanager
def shared_cores(processes: int) -> Iterator[None]:
    """Have each of so many processes, which are started meanwhile, use its share of the cores.

    Whoever has set the number of OpenMP's threads knows better.
    """
    before = dict(os.environ)
    share = core_variables(max(1, cpu_count() // processes))
    os.environ.update(
        share | {name: before[name] for name in ["OMP_NUM_THREADS"] if name in before}
    )
    try:
        yield
    finally:
        for name in share:
            if name in before:
                os.environ[name] = before[name]
            else:
                del os.environ[name]
