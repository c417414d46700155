"""Measures deduplication: time, memory, recall and precision.

    python benchmarks/dedup.py [--rows 1000000] [--imagededup FOLDER] [--json]

Measures the whole step, in a process of its own: from Parquet to committed Parquet. One percent of
the rows are near-duplicates of others: vectors at a cosine of 0.97, hashes with up to 6 bits
flipped. Vectors are distributed like CLIP's (see `retrieval.py`). FOLDER is the target of `pip
install --no-deps --target FOLDER imagededup`; its search (Cython, one process) is then measured
beside ours on 10,000 hashes, since its time grows with the square.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.clip_vectors import DIMENSION, clip_like
from benchmarks.peak_memory import megabytes
from fondant_spec.dataset.manifest import Field, Manifest
from fondant_spec.dataset.partition_writer import write_table
from fondant_spec.dataset.partitions import row_id
from fondant_spec.testing import read_rejects, write_dataset

ROOT = Path(__file__).parents[1]
PARTITION = 50_000
COSINE, LEAST_COSINE = 0.97, 0.96
MOST_BITS = 6
PEER_ROWS = 10_000
COMPONENT = ROOT / "components" / "deduplicate_images"


def vector_tables(rows: int) -> Iterator[pa.Table]:
    """Yield the rows with vectors; the last one percent are near-duplicates of the first."""
    copies = rows // 100
    originals = clip_like(min(PARTITION, rows), seed=1)[:copies]
    for start in range(0, rows, PARTITION):
        vectors = clip_like(min(PARTITION, rows - start), seed=1 + start)
        planted = np.arange(max(start, rows - copies), start + len(vectors))
        if len(planted):
            vectors[planted - start] = _near(originals[planted - (rows - copies)])
        lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIMENSION)
        yield pa.table({"id": _ids(start, len(vectors)), "embedding": lists})


def _near(vectors: Any) -> Any:
    noise = np.random.default_rng(7).standard_normal(vectors.shape, np.float32)
    noise -= np.einsum("ij,ij->i", noise, vectors)[:, None] * vectors
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    return COSINE * vectors + np.sqrt(1 - COSINE**2) * noise


def hash_tables(rows: int) -> Iterator[pa.Table]:
    """Yield the rows with hashes; the last one percent are near-duplicates of the first."""
    draw = np.random.default_rng(0)
    hashes = draw.integers(0, 1 << 64, rows, dtype=np.uint64)
    copies = rows // 100
    hashes[-copies:] = hashes[:copies]
    for _ in range(MOST_BITS):  # a bit drawn twice is flipped back
        hashes[-copies:] ^= np.uint64(1) << draw.integers(0, 64, copies, dtype=np.uint64)
    texts = pa.array([f"{number:016x}" for number in hashes.tolist()])
    for start in range(0, rows, PARTITION):
        part = texts.slice(start, PARTITION)
        yield pa.table({"id": _ids(start, len(part)), "phash": part})


def _ids(start: int, count: int) -> pa.Array:
    return pa.array([row_id(number) for number in range(start, start + count)])


def write(tables: Iterator[pa.Table], base: Path) -> Manifest:
    """Write tables as the partitions of a dataset, one in memory at a time."""
    manifest = write_dataset(next(tables), base)
    partitions = list(manifest.partitions)
    for number, table in enumerate(tables, start=1):
        name = f"part-{number:05d}"
        partitions.append(write_table(manifest.index_location, name, table))
    fields = {name: Field(name, f.type, f.location) for name, f in manifest.fields.items()}
    whole = Manifest(**{**vars(manifest), "partitions": tuple(partitions), "fields": fields})
    whole.write()
    return whole


def measure(tables: Iterator[pa.Table], rows: int, limits: dict[str, Any]) -> dict[str, float]:
    """Run the step in a process of its own; return its seconds, peak GB, recall and precision."""
    with tempfile.TemporaryDirectory() as folder:
        given = write(tables, Path(folder))
        words = [word for name, value in limits.items() for word in (f"--{name}", str(value))]
        command = [sys.executable, str(COMPONENT / "src" / "main.py"), "--base_path", folder]
        command += ["--input_manifest_path", given.location, "--keep", "first", *words]
        command += ["--output_manifest_path", str(Path(folder) / "made")]
        start = time.perf_counter()
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        child = os.posix_spawn(sys.executable, command, environment)
        _, status, usage = os.wait4(child, 0)
        seconds = time.perf_counter() - start
        assert status == 0, "the step failed"
        made = Manifest.read((Path(folder) / "made").read_text())
        rejects = read_rejects(made).to_pylist()
    copies = rows // 100
    right = {row_id(rows - copies + n): row_id(n) for n in range(copies)}
    hits = sum(right.get(row["id"]) == row["message"].split(",")[0] for row in rejects)
    return {
        "s": round(seconds, 1),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
        "gb": round(megabytes(usage.ru_maxrss) / 1000, 2),
        "recall": round(hits / copies, 4),
        "precision": round(hits / max(len(rejects), 1), 4),
    }


def imagededup_seconds(folder: Path, rows: int) -> float:
    """Return the seconds that imagededup takes to search some hashes for near-duplicates."""
    sys.path.append(str(folder))
    from imagededup.handlers.search.brute_force_cython import BruteForceCython  # noqa: PLC0415

    texts = next(hash_tables(rows)).column("phash").to_pylist()
    search = BruteForceCython({str(n): text for n, text in enumerate(texts)}, None)
    sample = texts[:: max(1, rows // 500)]
    start = time.perf_counter()
    for text in sample:
        search.search(text, MOST_BITS)
    return (time.perf_counter() - start) * rows / len(sample)


def main() -> None:
    """Measure, and print a table or one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--imagededup", type=Path, help="where that package is installed")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    rows = options.rows
    vectors = measure(vector_tables(rows), rows, {"least_cosine": LEAST_COSINE})
    print(f"{rows:,} vectors:", vectors, flush=True)
    hashes = measure(hash_tables(rows), rows, {"most_bits": MOST_BITS})
    print(f"{rows:,} hashes:", hashes, flush=True)
    told = {
        "vectors_s": vectors["s"],
        "vectors_gb": vectors["gb"],
        "vectors_recall": vectors["recall"],
        "hashes_s": hashes["s"],
        "hashes_gb": hashes["gb"],
        "hashes_recall": hashes["recall"],
        "precision": min(vectors["precision"], hashes["precision"]),
    }
    if options.imagededup:
        few = measure(hash_tables(PEER_ROWS), PEER_ROWS, {"most_bits": MOST_BITS})
        theirs = imagededup_seconds(options.imagededup, PEER_ROWS)
        print(f"{PEER_ROWS:,} hashes: ours {few['s']} s, the whole step; imagededup {theirs:.1f} s")
        told |= {"few_hashes_s": few["s"], "imagededup_few_hashes_s": round(theirs, 1)}
    if options.json:
        print(json.dumps(told))


if __name__ == "__main__":
    main()
