"""Measures the overhead of the framework: a trivial step's CPU time per row, memory, and reading.

    python benchmarks/framework.py [--rounds 3] [--json]

`us_per_row`: CPU microseconds per row of scalars, for 100,000 rows in 100 partitions through a step
that does next to nothing, on one worker. `flat`: its peak memory divided by that for 10 partitions
of the same size. `polars_ratio`: the CPU seconds in which Polars reads images together with the
vectors of a later step, divided by those of a step (see `framework_reading`); `polars_memory` is
the ratio of their peak memory. Also measures the peak memory of steps over 1,000 values of 1 MB.
The best of several rounds counts. Polars must be installed.
"""

# ruff: noqa: S603 - the programs are this project's own
import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.peak_memory import megabytes
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.testing import write_dataset

COMPONENTS = Path(__file__).parents[1] / "tests" / "components"
READING = Path(__file__).with_name("framework_reading.py")
ROWS = 100_000
PARTITIONS = 100
IMAGES = 1000
IMAGE_BYTES = 1_000_000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        found = rows(base / "rows", options.rounds)
        found |= reading(base / "reading", options.rounds)
        found |= values(base / "values")
    if options.json:
        print(json.dumps(found))


def rows(base: Path, rounds: int) -> dict[str, float]:
    """Return the cost of a row of scalars, and the growth of memory with ten times the rows."""
    many = _dataset(base / "many", ROWS, PARTITIONS)
    few = _dataset(base / "few", ROWS * 10 // PARTITIONS, 10)
    _, ten = _map(base / "few", few)
    idle = min(_step("numbers", base / "idle", "--rows", "0")[0] for _ in range(rounds))
    runs = [_map(base / f"many-{number}", many) for number in range(rounds)]
    seconds, hundred = min(runs)
    us_per_row = (seconds - idle) / ROWS * 1e6
    print(f"{ROWS:,} rows in {PARTITIONS} partitions, one worker")
    print(f"  processor time     {us_per_row:.2f} microseconds a row after the start")
    print(f"  peak memory        {hundred:.0f} MB; 10 partitions {ten:.0f} MB")
    return {"us_per_row": round(us_per_row, 2), "flat": round(hundred / ten, 3)}


def reading(base: Path, rounds: int) -> dict[str, float]:
    """Return the ratios of Polars' time and memory to those of a step that reads the same."""
    # In a separate process: this one's memory would count towards that of its children.
    words = [sys.executable, str(READING), "make", str(base)]
    made = subprocess.run(words, check=True, capture_output=True, text=True)
    dataset = made.stdout.strip()
    took: dict[str, tuple[float, float]] = {}
    for who in ("ours", "polars"):
        runs = [_read(who, dataset, base) for _ in range(rounds)]
        took[who] = min(runs)
        print(f"{who:<8} reads images and vectors in {took[who][0]:.3f} s, {took[who][1]:.0f} MB")
    (seconds, memory), (peer, peer_memory) = took["ours"], took["polars"]
    return {
        "polars_ratio": round(peer / seconds, 2),
        "polars_memory": round(peer_memory / memory, 2),
    }


def values(base: Path) -> dict[str, float]:
    """Return the peak memory in MB of steps over large values."""
    location = base / "location"
    words = ["--rows", str(IMAGES), "--size", str(IMAGE_BYTES)]
    words += ["--rows_per_partition", "100", "--output_manifest_path", str(location)]
    _, load = _step("pictures", base, *words)
    made = Manifest.read(location.read_text(encoding="utf-8"))
    _, flip = _step("flip", base, *_reads(made))
    print(f"{IMAGES:,} values of {IMAGE_BYTES / 1e6:.0f} MB")
    print(f"  peak memory        {load:.0f} MB to load, {flip:.0f} MB to transform")
    return {"load_mb": round(load), "transform_mb": round(flip)}


def _dataset(base: Path, count: int, partitions: int) -> Manifest:
    table = pa.table({"number": pa.array(range(count), pa.int64())})
    return write_dataset(table, base, rows_per_partition=count // partitions)


def _map(base: Path, dataset: Manifest) -> tuple[float, float]:
    return _step("waits", base, *_reads(dataset))


def _reads(dataset: Manifest) -> Sequence[str]:
    return "--input_manifest_path", dataset.location, "--workers", "1"


def _read(who: str, dataset: str, base: Path) -> tuple[float, float]:
    """Read the images and vectors in another process; return its CPU seconds and peak memory."""
    words = [sys.executable, str(READING), who, dataset]
    trusted = os.environ | {"FONDANT_TRUSTED_PATHS": str(base)}
    done = subprocess.run(words, check=True, capture_output=True, text=True, env=trusted)
    *_, seconds, kib = map(float, done.stdout.splitlines()[-1].split())
    return seconds, megabytes(kib)


def _step(name: str, base: Path, *words: str) -> tuple[float, float]:
    """Run a small component; return its CPU seconds, and its peak memory in MB."""
    main = COMPONENTS / name / "src" / "main.py"
    process = subprocess.Popen(
        [sys.executable, str(main), "--base_path", str(base), *words], stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, name
    return usage.ru_utime + usage.ru_stime, megabytes(usage.ru_maxrss)


if __name__ == "__main__":
    main()
