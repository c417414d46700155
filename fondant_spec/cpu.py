"""How many cores a process may use, and the environment that has the libraries in it keep to them.

In a container the cores are not the machine's. Libraries read their environment when they are
loaded, so it is set by whatever starts a process.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from loky.backend.context import cpu_count

__all__ = ["PATIENT", "core_variables", "cpu_count", "shared_cores"]

PATIENT: Final = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Has threads of OpenMP give up their core while they wait: one that others need for their share
of the work, or the neighbour on the machine."""


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
