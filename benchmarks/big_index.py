"""Measures an index of ten million vectors, on its own or as part of `retrieval.py`.

    python benchmarks/big_index.py [--rows 10000000] [--folder DIR] [--json]

The vectors are those of `clip_vectors.py`, written in half precision as they are generated: they
are never all in memory. One of the inverted files has its short codes in memory, another has them
on disk, as on machines without enough memory for them.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # for its siblings, when run as a script

from benchmarks.clip_vectors import Vectors, clip_like, write_source
from benchmarks.index_figures import Figures, measure
from fondant_spec.cpu import cpu_count
from image_toolkit.retrieval.search.exact import exact_neighbours
from image_toolkit.retrieval.search.vectors import ParquetVectors

ROWS = 10_000_000
SCRATCH = Path(__file__).parents[1] / "artifacts" / "benchmarks"
QUERIES = 500
FILE_ROWS = 1_000_000
DISK_BYTES = 4700
"""Disk space per vector, at most: the source, the vectors and shards, and an index."""

MEMORY = ("--memory-gb", "4")
CASES = {"ivf_pq": MEMORY, "ivf_pq, lists on disk": (*MEMORY, "--lists-on-disk")}


def big_figures(rows: int, queries: Vectors, folder: Path) -> list[Figures]:
    """Build and measure indexes of so many vectors in `folder`."""
    source = folder / "source"
    source.mkdir()
    start = time.perf_counter()
    for number, first in enumerate(range(0, rows, FILE_ROWS)):
        count = min(FILE_ROWS, rows - first)
        write_source(source / f"{number:05d}.parquet", count, first, np.float16)
    _, true = exact_neighbours(ParquetVectors(sorted(source.iterdir()), "embedding"), queries, 10)
    print(f"{rows:>9,} vectors made in {time.perf_counter() - start:.0f} s", flush=True)
    found = []
    for name, options in CASES.items():
        built = folder / "index"
        found.append(measure(source, built, "ivf_pq", queries, true, *options, name=name))
        shutil.rmtree(built)
    shutil.rmtree(source)
    return found


def big_summary(found: Sequence[Figures]) -> dict[str, Any]:
    """Return the figures under their names in the JSON summary."""
    of = {figures.kind: figures for figures in found}
    main = found[0]
    return {
        "rows_10m": main.rows,
        "recall_10m": round(main.rate.recall, 4),
        "build_gb_10m": round(main.taken.peak_gb, 2),
        "build_seconds_10m": {kind: round(f.taken.seconds, 1) for kind, f in of.items()},
        "build_cpu_seconds_10m": {kind: round(f.taken.cpu_seconds) for kind, f in of.items()},
        "bytes_per_vector_10m": {kind: round(f.bytes_per_vector) for kind, f in of.items()},
        "recalls_10m": {kind: round(f.rate.recall, 4) for kind, f in of.items()},
        "queries_per_second_10m": {
            kind: round(f.rate.queries_per_second) for kind, f in of.items()
        },
    }


def measure_big(rows: int, folder: Path) -> dict[str, Any]:
    """Build and measure indexes of so many vectors in a folder within `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < rows * DISK_BYTES:
        sys.exit(f"{folder}: needs {rows * DISK_BYTES / 2**30:.0f} GB of disk, has {free >> 30} GB")
    queries = clip_like(QUERIES, seed=-1 % 2**32)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        return big_summary(big_figures(rows, queries, Path(scratch)))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the figures and, on request, a final line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=ROWS, help="default: ten million")
    parser.add_argument("--folder", type=Path, default=SCRATCH, help="where there is room on disk")
    parser.add_argument("--json", action="store_true", help="end with the figures as JSON")
    options = parser.parse_args(argv)
    faiss.omp_set_num_threads(cpu_count())
    result = measure_big(options.rows, options.folder)
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
