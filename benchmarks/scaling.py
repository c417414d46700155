"""Measures the framework's own cost with many partitions, many rows and many workers.

    python benchmarks/scaling.py [--only partitions|rows|workers] [--json]

1. A step of small components over 1,000 and 10,000 partitions of 10 rows: the time and memory to
   run it, to reuse it as a cache hit, and to list it with `fondant-spec status`.
2. A load and a map of 100,000 and of 1,000,000 rows: peak memory.
3. A step whose partitions take a second each, on a Dask cluster of 1, 2 and 4 worker processes: the
   speed-up, and the overhead per partition. The work is waiting, so that neither the number of
   cores nor other load limits it much. The workers have run such a step before, so that all imports
   are done; time counts from the start of the first partition to the end of the last.

Beside wall-clock seconds there are CPU seconds, which are the same on a busy machine. `--json`
prints one line at the end: `cpu_us_per_partition`, `linear` (CPU time of 10,000 partitions divided
by ten times that of 1,000), `memory_growth` (of the peak with ten times the partitions),
`rows_memory_growth` (of the peak with ten times the rows), `speedup_2`, `speedup_4`,
`dask_ms_per_partition`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyarrow as pa
from distributed import LocalCluster

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.peak_memory import megabytes
from fondant_spec.dataset.checkpoint import list_checkpoints
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.testing import write_dataset

COMPONENTS = Path(__file__).parents[1] / "tests" / "components"
FEW, MANY = 1_000, 10_000
ROWS_A_PARTITION = 10
WAIT = 1.0
WAITS = 40


@dataclass(frozen=True)
class Cost:
    """The cost of a command: wall-clock and CPU seconds, and peak memory in MB."""

    seconds: float
    cpu: float
    memory: float

    def __str__(self) -> str:
        """Return a readable form."""
        return f"{self.seconds:6.1f} s, {self.cpu:6.1f} s of a processor, {self.memory:4.0f} MB"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parts = {one.__name__: one for one in (partitions, rows, workers)}
    parser.add_argument("--only", action="append", choices=parts, help="one part; repeatable")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in options.only or parts:
            figures |= parts[name](Path(folder))
    if options.json:
        print(json.dumps(figures))


def partitions(folder: Path) -> dict[str, float]:
    """Run, reuse and list a step with few and with many partitions."""
    costs = {}
    for count in (FEW, MANY):
        base = folder / f"partitions-{count}"
        words = after(numbers(base, count * ROWS_A_PARTITION, ROWS_A_PARTITION))
        costs[count] = step("double", base, *words, "--workers", "1")
        print(f"{count:6,} partitions: run       {costs[count]}")
        print(f"                   cache hit {step('double', base, *words, '--workers', '1')}")
        print(f"                   status    {cost_of(['-c', STATUS, str(base)])}", flush=True)
    few, many = costs[FEW], costs[MANY]
    return {
        "cpu_us_per_partition": round((many.cpu - few.cpu) / (MANY - FEW) * 1e6),
        "linear": round(many.cpu / (few.cpu * MANY / FEW), 2),
        "memory_growth": round(many.memory / few.memory, 2),
    }


STATUS = """
import sys
from fondant_spec.dataset.layout import PipelineFolder
from fondant_spec.pipeline.find_run import Run
from fondant_spec.pipeline.run_status import describe, step_statuses
folder = PipelineFolder.of(sys.argv[1], "pipeline")
keys = {"double": folder.cache_keys("double")[0]}
run = Run("pipeline", "", "", "succeeded", {"planned": keys}, keys)
print(describe("", step_statuses(sys.argv[1], run)))
"""


def rows(folder: Path) -> dict[str, float]:
    """Load and map few and many rows, a thousand per partition."""
    peaks = {}
    for count in (100_000, 1_000_000):
        base = folder / f"rows-{count}"
        out = base.with_suffix(".location")
        words = ["--rows", str(count), "--batch_rows", "1000"]
        loaded = step("numbers", base, *words, "--output_manifest_path", str(out))
        made = Manifest.read(out.read_text(encoding="utf-8"))
        mapped = step("double", base, *after(made), "--workers", "1")
        peaks[count] = max(loaded.memory, mapped.memory)
        print(f"{count:9,} rows: load {loaded}; map {mapped}", flush=True)
    return {"rows_memory_growth": round(peaks[1_000_000] / peaks[100_000], 2)}


def workers(folder: Path) -> dict[str, float]:
    """Run a step that waits, on clusters of one, two and four workers."""
    dataset = numbers(folder / "waits", WAITS, 1)
    model = folder / "model"
    model.write_text("A", encoding="utf-8")
    seconds = {}
    for count in (1, 2, 4):
        with LocalCluster(
            n_workers=count, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
        ) as cluster:
            address = {"DASK_SCHEDULER_ADDRESS": cluster.scheduler_address}
            words = [*after(dataset), "--model", str(model), "--seconds"]
            step("stamp", folder / f"warm-{count}", *words, "0.1", environment=address)
            base = folder / f"waits-{count}"
            before = cpu_of_children()
            cost = step("stamp", base, *words, str(WAIT), environment=address)
            cpu = cpu_of_children() - before
        seconds[count] = span(base)
        print(f"{count} Dask workers: {WAITS} waits of {WAIT} s in {seconds[count]:.1f} s; "
              f"the step {cost}; the cluster {cpu:.1f} s of a processor", flush=True)  # fmt: skip
    return {
        "speedup_2": round(seconds[1] / seconds[2], 2),
        "speedup_4": round(seconds[1] / seconds[4], 2),
        "dask_ms_per_partition": round((seconds[1] / WAITS - WAIT) * 1000, 1),
    }


def span(base: Path) -> float:
    """Return the seconds from the start of a step's first partition to the end of its last."""
    (folder,) = base.glob("pipeline/stamp/*/checkpoints")
    works = [one.work for one in list_checkpoints(str(folder))]
    assert len(works) == WAITS
    return (max(one.end for one in works) - min(one.begin for one in works)).total_seconds()


def cpu_of_children() -> float:
    """Return the CPU seconds of the cluster's processes so far."""
    times = [one.cpu_times() for one in psutil.Process().children(recursive=True)]
    return sum(one.user + one.system for one in times)


def numbers(base: Path, count: int, rows_per_partition: int) -> Manifest:
    """Write a dataset of numbers."""
    table = pa.table({"number": pa.array(range(count), pa.int64())})
    return write_dataset(table, base, rows_per_partition=rows_per_partition)


def after(dataset: Manifest) -> list[str]:
    """Return the arguments with which a component reads a dataset."""
    return ["--input_manifest_path", dataset.location]


def step(name: str, base: Path, *words: str, environment: Mapping[str, str] | None = None) -> Cost:
    """Run a small component as a runner would."""
    main_file = COMPONENTS / name / "src" / "main.py"
    return cost_of([str(main_file), "--base_path", str(base), *words], environment)


MEASURE = """
import os, resource, subprocess, sys, time
began = time.monotonic()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
"""


def cost_of(argv: list[str], environment: Mapping[str, str] | None = None) -> Cost:
    """Run Python and return its cost.

    A small process starts it: a peak counts from the size of the forking process.
    """
    done = subprocess.run(  # noqa: S603 - of this repository
        [sys.executable, "-c", MEASURE, sys.executable, *argv],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **(environment or {})},
    )
    seconds, cpu, kib = map(float, done.stdout.split())
    return Cost(seconds, cpu, megabytes(kib))


if __name__ == "__main__":
    main()
