"""Measures the explorer on a synthetic dataset: response times of its pages, and memory.

    python benchmarks/explore.py [--rows 100000] [--json]

The rows are as the pipeline writes them: a small JPEG, hashes, URLs, a caption, scores and a vector
of 512 numbers; 2,500 rows per partition. The server is the program that a user starts; each page is
requested by its address and read to the end, three times, and the slowest counts. The first page
includes reading the dataset. Beside wall-clock seconds there are CPU seconds, which depend little
on other load. Memory is the peak of the server's process.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import numpy as np
import psutil
import pyarrow as pa
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.peak_memory import megabytes
from fondant_spec.dataset import storage
from fondant_spec.dataset.layout import PipelineFolder
from fondant_spec.dataset.manifest import Field, Manifest
from fondant_spec.dataset.partition_writer import write_table

ROOT = Path(__file__).parents[1]
ROWS_AT_ONCE = 2_500
DIMENSION = 512
REPEATS = 3
WORDS = ["a", "photo", "of", "the", "cat", "dog", "house", "river", "car", "tree", "bridge", "old"]
DATA = "/data/made/captioned/0123456789abcdef"

PAGES = {
    "gallery": "",
    "page 1,000": "?page=1000",
    "sorted by a number": "?sort=similarity&desc=1",
    "sorted by a text": "?sort=caption",
    "at random": "?sort=random&seed=7",
    "filtered": "?where=similarity+%3E+0.9+AND+image_width+%3E+700",
    "words of the caption": "?q=cat+bridge",
    "one row": "/row/000000001234",
    "distributions": "/distributions",
    "review of the lowest": "/review?kind=lowest&field=similarity",
    "find and replace": "/bulk?find=photo+of&put=picture+of&where=similarity+%3E+0.99",
    "nearest images": "?near=000000001234",
}


@dataclass(frozen=True)
class Figures:
    """The results. `pages` are wall-clock and CPU seconds."""

    rows: int
    most_held_mb: int
    pages: dict[str, tuple[float, float]]


def main() -> int:
    """Make the dataset, request each page, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_dataset(folder, options.rows)
        figures = Figures(options.rows, *measure(folder))
    if options.json:
        print(json.dumps(asdict(figures), indent=2))
        return 0
    print(f"{figures.rows:,} rows, at most {figures.most_held_mb} MB held")
    for name, (seconds, processor_seconds) in figures.pages.items():
        print(f"{name:26}{seconds:10.3f} s{processor_seconds:10.3f} s of a processor")
    return 0


def make_dataset(base_path: str, count: int) -> None:
    """Write a dataset as a step does."""
    folder = PipelineFolder.of(storage.normalize(base_path), "made").step(
        "captioned", "0123456789abcdef"
    )
    rng = np.random.default_rng(1)
    images = [_jpeg(rng) for _ in range(64)]
    tables = (_rows(rng, start, images) for start in range(0, count, ROWS_AT_ONCE))
    partitions = []
    for number, table in enumerate(tables):
        partitions.append(write_table(folder.data, f"part-{number:05d}", table))
        schema = table.schema
    Manifest(
        pipeline_name="made",
        step_id="captioned",
        run_id="benchmark",
        cache_key="0123456789abcdef",
        location=folder.manifest,
        index_location=folder.data,
        fields={
            one.name: Field(one.name, one.type, folder.data) for one in schema if one.name != "id"
        },
        partitions=tuple(partitions),
        root=folder.manifest,
    ).write()


def measure(base_path: str) -> tuple[int, dict[str, tuple[float, float]]]:
    """Return the peak memory in MB, and the wall-clock and CPU seconds of each page."""
    with serving(base_path) as (process, address, started):
        root, _, token = address.partition("/?token=")
        server = psutil.Process(process.pid)
        with httpx.Client(base_url=root, follow_redirects=True, timeout=600) as client:

            def ask(*paths: str) -> tuple[float, float]:
                began, before = time.perf_counter(), sum(server.cpu_times()[:2])
                for path in paths:
                    answer = client.get(path)
                    assert answer.status_code == 200, answer.text  # noqa: PLR2004
                    assert 'class="problem"' not in answer.text, path
                spent = sum(server.cpu_times()[:2]) - before
                return round(time.perf_counter() - began, 3), round(spent, 3)

            pages = {"until it listens": (round(started, 3), sum(server.cpu_times()[:2]))}
            client.get(f"/?token={token}")
            pages["first page"] = ask(DATA)
            for name, path in PAGES.items():
                pages[name] = max(ask(DATA + path) for _ in range(REPEATS))
            pages["60 thumbnails"] = ask(*(f"{DATA}/thumbnail/{n:012d}" for n in range(60)))
            status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
            peak = int(status.partition("VmHWM:")[2].split()[0])
    return round(megabytes(peak)), pages


@contextmanager
def serving(base_path: str) -> Iterator[tuple["subprocess.Popen[str]", str, float]]:
    """Yield the process of a server, its address, and the seconds until it printed that."""
    program = "import sys; from fondant_spec.cli import main; sys.exit(main())"
    began = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", program, "explore", base_path],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip(), time.perf_counter() - began
    finally:
        process.kill()
        process.wait()


def _rows(rng: np.random.Generator, start: int, images: list[bytes]) -> pa.Table:
    numbers = range(start, start + ROWS_AT_ONCE)
    words = rng.choice(WORDS, (ROWS_AT_ONCE, 12))
    vectors = rng.standard_normal((ROWS_AT_ONCE, DIMENSION)).astype(np.float32)
    sides = rng.integers(256, 2048, (2, ROWS_AT_ONCE)).astype(np.int32)
    return pa.table(
        {
            "id": [f"{number:012d}" for number in numbers],
            "image": [images[number % len(images)] for number in numbers],
            "sha256": [f"{number:064x}" for number in numbers],
            "phash": [f"{number * 7919:016x}" for number in numbers],
            "caption": [" ".join(row) for row in words],
            "alt_text": [" ".join(row[:6]) for row in words],
            "final_url": [f"https://host{n % 997}.example/images/{n}.jpg" for n in numbers],
            "seed_id": [f"{number // 20:012d}" for number in numbers],
            "similarity": rng.random(ROWS_AT_ONCE).astype(np.float32),
            "rank": [number % 20 for number in numbers],
            "image_width": sides[0],
            "image_height": sides[1],
            "embedding": pa.FixedSizeListArray.from_arrays(vectors.reshape(-1), DIMENSION),
        }
    )


def _jpeg(rng: np.random.Generator) -> bytes:
    file = io.BytesIO()
    small = Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8))
    small.resize((256, 256)).save(file, "JPEG", quality=80)
    return file.getvalue()


if __name__ == "__main__":
    sys.exit(main())
