"""What the framework itself costs: rows a second through a trivial step, and its memory.

    python benchmarks/framework.py

Prints microseconds a row for 100,000 rows in 100 partitions through a step that does next to
nothing on one worker, its peak memory against that of 10 partitions of the same size, and the peak
memory of steps over 1,000 values of 1 MB.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from fondant_spec.dataset.manifest import Manifest
from fondant_spec.testing import write_dataset

COMPONENTS = Path(__file__).parents[1] / "tests" / "components"
ROWS = 100_000
PARTITIONS = 100
IMAGES = 1000
IMAGE_BYTES = 1_000_000


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        idle = _step("numbers", base / "idle", "--rows", "0")
        many = _rows(base / "many", ROWS, PARTITIONS)
        few = _rows(base / "few", ROWS * 10 // PARTITIONS, 10)
        _, _, ten = _map(base / "few", few)
        seconds, cpu, hundred = _map(base / "many", many)
        print(f"{ROWS:,} rows in {PARTITIONS} partitions, one worker")
        print(f"  whole step         {seconds:6.2f} s, of which start {idle[0]:.2f} s")
        print(f"  processor time     {_per_row(cpu - idle[1])} microseconds a row after the start")
        print(
            f"  elapsed time       {_per_row(seconds - idle[0])} microseconds a row after the start"
        )
        print(f"  peak memory        {hundred:6.0f} MB; 10 partitions {ten:.0f} MB")
        location = base / "location"
        words = ["--rows", str(IMAGES), "--size", str(IMAGE_BYTES)]
        words += ["--rows_per_partition", "100", "--output_manifest_path", str(location)]
        _, _, load = _step("pictures", base / "images", *words)
        made = Manifest.read(location.read_text(encoding="utf-8"))
        _, _, flip = _step("flip", base / "images", *_reads(made))
        print(f"{IMAGES:,} values of {IMAGE_BYTES / 1e6:.0f} MB")
        print(f"  peak memory        {load:6.0f} MB to load, {flip:.0f} MB to transform")


def _rows(base: Path, rows: int, partitions: int) -> Manifest:
    table = pa.table({"number": pa.array(range(rows), pa.int64())})
    return write_dataset(table, base, rows_per_partition=rows // partitions)


def _map(base: Path, dataset: Manifest) -> tuple[float, float, float]:
    return _step("waits", base, *_reads(dataset))


def _reads(dataset: Manifest) -> Sequence[str]:
    return "--input_manifest_path", dataset.location, "--workers", "1"


def _step(name: str, base: Path, *words: str) -> tuple[float, float, float]:
    """Run a small component; return its seconds, its processor's seconds, its peak memory in MB."""
    main = COMPONENTS / name / "src" / "main.py"
    began = time.monotonic()
    process = subprocess.Popen(  # noqa: S603 - a component of this repository
        [sys.executable, str(main), "--base_path", str(base), *words], stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    assert os.waitstatus_to_exitcode(status) == 0, name
    return seconds, usage.ru_utime + usage.ru_stime, _peak_mb(usage)


def _peak_mb(usage: resource.struct_rusage) -> float:
    return usage.ru_maxrss / 1000


def _per_row(seconds: float) -> str:
    return f"{seconds / ROWS * 1e6:6.2f}"


if __name__ == "__main__":
    main()
