"""The peak memory of a piece of code."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PROCESS = Path("/proc/self")


class Peak:
    """How many MB were taken at most, beyond what there were at the start."""

    mb = 0.0


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """Measure this process, not those that it starts."""
    peak = Peak()
    (_PROCESS / "clear_refs").write_text("5")  # the kernel forgets the highest so far
    before = _highest_kb()
    yield peak
    peak.mb = (_highest_kb() - before) / 1000


def _highest_kb() -> int:
    status = (_PROCESS / "status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1])
