"""The cost of building and searching an index, each in a process of its own."""

import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
SECONDS_BETWEEN_LOOKS = 0.1
PROGRAM = "import sys; from fondant_spec.cli import main; sys.exit(main())"


@dataclass(frozen=True)
class Taken:
    """The cost of a command, including all processes that it started.

    `peak_gb` excludes memory-mapped files, which the system evicts when memory is needed.
    """

    seconds: float
    cpu_seconds: float
    peak_gb: float


def build(source: Path, folder: Path, kind: str, *options: str) -> Taken:
    """Build an index with `fondant-spec index build`."""
    words = ["index", "build", str(source), str(folder), "--kind", kind, *options]
    start, before = time.perf_counter(), os.times()
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, *words])  # noqa: S603 - our own
    peak = 0
    while child.poll() is None:
        peak = max(peak, anonymous_memory(child.pid))
        time.sleep(SECONDS_BETWEEN_LOOKS)
    assert child.returncode == 0, f"building {folder} failed"
    after = os.times()
    cpu = sum(after[2:4]) - sum(before[2:4])
    return Taken(time.perf_counter() - start, cpu, peak / 2**30)


def anonymous_memory(process: int) -> int:
    """Return the memory in bytes of a process and all its children, excluding mapped files."""
    total = 0
    with suppress(psutil.Error, OSError):  # ended in the meantime
        this = psutil.Process(process)
        for one in [this, *this.children(recursive=True)]:
            status = Path(f"/proc/{one.pid}/status").read_text(encoding="utf-8")
            found = re.search(r"RssAnon:\s+(\d+)", status)
            total += int(found[1]) << 10 if found else 0
    return total


def memory_of(file: Path) -> int:
    """Return the memory in bytes that searching an index takes, excluding mapped files."""
    program = f"""
import faiss, numpy as np
from image_toolkit.retrieval.search.faiss_search import FaissSearch
from pathlib import Path
def anonymous():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("Anonymous"))
before = anonymous()
search = FaissSearch(Path({str(file)!r}))
list(search.neighbours(np.eye(search.dimension, dtype=np.float32), 10, with_vectors=False))
print(anonymous() - before)
"""
    told = subprocess.run(  # noqa: S603 - the program above
        [sys.executable, "-c", program], check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    return int(told.stdout.splitlines()[-1])  # FAISS may print that it found a file


def size_of(index: Path) -> int:
    """Return the size of an index, a file or a folder of files, in bytes."""
    files = index.iterdir() if index.is_dir() else [index]
    return sum(file.stat().st_size for file in files)
