"""Measures index building, and laion_retrieval against clip-retrieval's service on one folder.

    python benchmarks/retrieval.py [--rows 1000000] [--big-rows 10000000]
        [--kinds flat hnsw ivf_pq] [--json]

Vectors are synthetic, with 512 dimensions, and distributed like CLIP's: in topics, each of low
dimension, around a common direction. Queries have the same distribution; none of them is in the
index. Each kind of index is built from Parquet by `fondant-spec index build`, in a process of its
own whose peak memory is measured, as is the memory that a search takes in addition to the mapped
files. The baseline is plain PQ codes of one byte per two dimensions (`plain_codes.py`). Then 1,000
seeds are looked up, with 40 images each: by the whole laion_retrieval step (from the command line
to committed Parquet), and by clip-retrieval's client from its service on the same folder. Its
environment is created under `.venvs/` on first use. Last comes an index of ten million vectors, of
the kinds that fit in memory (`big_index.py`).
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import faiss
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1]))  # for its siblings, when run as a script

from benchmarks.big_index import ROWS, SCRATCH, measure_big
from benchmarks.clip_retrieval_peer import ask, back, make_environment, make_tiny_clip
from benchmarks.clip_vectors import DIMENSION, Vectors, clip_like, write_source
from benchmarks.index_figures import Figures, measure, told
from benchmarks.index_processes import Taken, memory_of
from benchmarks.plain_codes import build_plain, plain_rate
from fondant_spec.cpu import cpu_count
from fondant_spec.testing import run_component
from image_toolkit.retrieval.build.index_kinds import KINDS
from image_toolkit.retrieval.search.exact import exact_neighbours
from image_toolkit.retrieval.search.vectors import ParquetVectors

ROOT = Path(__file__).parents[1]
QUERIES, SEEDS, IMAGES = 500, 1000, 40
REPEATS = 3
SMALL = 10_000
PLAIN = "plain codes"


def our_rate(folder: Path, seeds: Vectors) -> float:
    """Return the seeds per second of the whole step: the median of several runs."""
    lists = pa.FixedSizeListArray.from_arrays(pa.array(seeds.ravel()), DIMENSION)
    table = pa.table({"embedding": lists})
    component = ROOT / "components" / "laion_retrieval"
    seconds = []
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory() as base:
            start = time.perf_counter()
            found = run_component(
                component, table, Path(base), index=str(folder), num_images=IMAGES
            )
            seconds.append(time.perf_counter() - start)
            assert len(found.table) + len(found.rejects) >= len(seeds) * IMAGES * 0.9
    return len(seeds) / statistics.median(seconds)


def their_rate(folder: Path, seeds: Vectors, scratch: Path) -> float:
    """Return the queries per second of clip-retrieval's client and service on the same folder."""
    make_environment()
    clip = make_tiny_clip(scratch / "clip", DIMENSION)
    listing = folder / "indices_paths.json"
    settings = {
        "indice_name": "index",
        "num_images": IMAGES,
        "deduplicate": True,
        "use_safety_model": False,
        "use_violence_detector": False,
    }
    with back(listing, clip, ["url", "caption"], scratch / "back.log") as url:
        client = {**settings, "url": f"{url}/knn-service"}
        told = ask([client], seeds.tolist())[0]
    assert all(isinstance(answer, list) and answer for answer in told["answers"])
    return len(seeds) / float(told["seconds"])


def figures_of(
    rows: int, kinds: Sequence[str], folder: Path, queries: Vectors
) -> Iterator[Figures]:
    """Measure kinds of index over so many rows and, if there are many rows, plain codes last."""
    source = folder / f"{rows}.parquet"
    write_source(source, rows)
    vectors = ParquetVectors([source], "embedding")
    _, true = exact_neighbours(vectors, queries, 10)
    for kind in kinds:
        yield measure(source, folder / f"{rows}-{kind}", kind, queries, true)
    if rows > SMALL:
        file = folder / "plain.index"
        seconds, size = build_plain(vectors, file), file.stat().st_size / 2**30
        rate, memory = plain_rate(file, queries, true), memory_of(file) / rows
        yield told(Figures(rows, PLAIN, Taken(seconds, seconds, 0), size, memory, rate))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the figures and, on request, a final line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the large index")
    parser.add_argument("--big-rows", type=int, default=ROWS, help="0 leaves the big index out")
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--json", action="store_true", help="end with the figures as JSON")
    options = parser.parse_args(argv)
    faiss.omp_set_num_threads(cpu_count())
    queries, seeds = clip_like(QUERIES, seed=-1 % 2**32), clip_like(SEEDS, seed=-2 % 2**32)
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH) as scratch:
        folder = Path(scratch)
        small = list(figures_of(SMALL, options.kinds, folder, queries))
        large = list(figures_of(options.rows, options.kinds, folder, queries))
        result = {**summary(small, "_small"), **summary(large)}
        if "hnsw" in options.kinds:
            result |= against_clip_retrieval(folder / f"{options.rows}-hnsw", seeds, folder)
    if options.big_rows:
        result |= measure_big(options.big_rows, SCRATCH)
    if options.json:
        print(json.dumps({**result, "rows": options.rows}))


def summary(found: Sequence[Figures], suffix: str = "") -> dict[str, Any]:
    """Return the figures of each kind under their names in the JSON summary."""
    of = {figures.kind: figures for figures in found}
    result: dict[str, Any] = {
        f"recall{suffix}": {kind: round(f.rate.recall, 4) for kind, f in of.items()}
    }
    if suffix:
        return result
    result |= {
        "build_gb": round(max(f.taken.peak_gb for f in found), 2),
        "build_seconds": {kind: round(f.taken.seconds, 1) for kind, f in of.items()},
        "queries_per_second": {kind: round(f.rate.queries_per_second) for kind, f in of.items()},
    }
    if "ivf_pq" in of:
        ours, plain = of["ivf_pq"], of[PLAIN]
        ratio = ours.rate.queries_per_second / plain.rate.queries_per_second
        cpu_ratio = ours.rate.queries_per_cpu_second / plain.rate.queries_per_cpu_second
        result |= {
            "recall_1m": round(ours.rate.recall, 4),
            "rate_1m_ratio": round(ratio, 1),
            "rate_1m_cpu_ratio": round(cpu_ratio, 1),
            "bytes_per_vector": round(ours.bytes_per_vector),
        }
    return result


def against_clip_retrieval(index: Path, seeds: Vectors, scratch: Path) -> dict[str, float]:
    """Look the same seeds up with both tools, in one folder."""
    ours = our_rate(index, seeds)
    print(f"laion_retrieval, hnsw, {SEEDS} seeds x {IMAGES}: {ours:,.0f} seeds/s", flush=True)
    theirs = their_rate(index, seeds, scratch)
    print(f"clip-retrieval's client and service, same folder: {theirs:,.1f} queries/s")
    return {
        "clip_retrieval_ratio": round(ours / theirs, 1),
        "seeds_per_second": round(ours),
        "clip_retrieval_queries_per_second": round(theirs, 1),
    }


if __name__ == "__main__":
    main()
