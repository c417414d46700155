"""Measures the time and memory of `fondant-spec report` on a synthetic dataset.

    python benchmarks/report.py [--rows 100000] [--json]

The dataset is that of explore.py: images with about as many sizes as there are rows, captions no
two of which are alike, vectors of 512 numbers. The command is run as a user runs it. Memory is the
peak of its process.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.explore import make_dataset
from benchmarks.peak_memory import megabytes

ROOT = Path(__file__).parents[1]
PROGRAM = "import sys; from fondant_spec.cli import main; sys.exit(main())"


@dataclass(frozen=True)
class Figures:
    """The results, in wall-clock and CPU seconds."""

    rows: int
    seconds: float
    processor_seconds: float
    most_held_mb: int
    page_kb: int
    json_kb: int


def main() -> int:
    """Make the dataset, report on it, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_dataset(folder, options.rows)
        figures = measure(Path(folder), options.rows)
    if options.json:
        print(json.dumps(asdict(figures), indent=2))
        return 0
    print(
        f"{figures.rows:,} rows: {figures.seconds} s ({figures.processor_seconds} s of processors),"
        f" at most {figures.most_held_mb} MB held; page {figures.page_kb} kB, JSON "
        f"{figures.json_kb} kB"
    )
    return 0


def measure(base_path: Path, rows: int) -> Figures:
    """Run the command, and return its cost."""
    page, data = base_path / "report.html", base_path / "report.json"
    words = ["report", "made/captioned", "--base-path", base_path, "--into", page, "--json", data]
    began = time.perf_counter()
    subprocess.run(  # noqa: S603
        [sys.executable, "-c", PROGRAM, *words],
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Figures(
        rows=rows,
        seconds=round(seconds, 1),
        processor_seconds=round(used.ru_utime + used.ru_stime, 1),
        most_held_mb=round(megabytes(used.ru_maxrss)),
        page_kb=round(page.stat().st_size / 1e3),
        json_kb=round(data.stat().st_size / 1e3),
    )


if __name__ == "__main__":
    sys.exit(main())
