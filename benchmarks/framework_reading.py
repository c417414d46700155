"""Reads images and vectors of a dataset, as a step does or with Polars, and prints the cost.

    python benchmarks/framework_reading.py make FOLDER
    python benchmarks/framework_reading.py ours|polars MANIFEST

Reads partition by partition, so that memory is bounded; sums rows and bytes, and keeps nothing. The
vectors come from a later step than the images, which dropped every tenth row: a step finds a row by
its position, and Polars joins the files by id. The last line has the rows, the bytes of the images,
the CPU seconds, and the peak memory in KiB; after `make`, the manifest.
"""

import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fondant_spec.dataset.layout import partition_file
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.dataset.partitions import read_batches
from fondant_spec.testing import write_dataset

ROWS, ROWS_PER_PARTITION = 4000, 500
IMAGE_BYTES, WIDTH = 100_000, 512
FIELDS = ("image", "embedding")


def make(base: Path) -> Manifest:
    """Return a dataset of images, and of vectors for nine tenths of them."""
    random = np.random.default_rng(0)
    noise = random.bytes(IMAGE_BYTES + ROWS)
    images = pa.array([noise[n : n + IMAGE_BYTES] for n in range(ROWS)], pa.binary())
    ids = pa.array([f"{n:012d}" for n in range(ROWS)])
    vectors = pa.array(list(random.standard_normal((ROWS, WIDTH), np.float32)))
    first = pa.table({"id": ids, "image": images})
    second = pa.table({"id": ids, "embedding": vectors})
    loaded = write_dataset(first, base / "images", rows_per_partition=ROWS_PER_PARTITION)
    kept = [n for n in range(ROWS) if n % 10]
    embedded = write_dataset(
        second.take(kept), base / "vectors", rows_per_partition=ROWS_PER_PARTITION * 9 // 10
    )
    fields = {"image": loaded.fields["image"], **embedded.fields}
    whole = replace(embedded, fields=fields)
    whole.write()
    return whole


def ours(dataset: Manifest) -> Iterator[tuple[int, int]]:
    """Yield the number of rows in each batch, and the bytes of its images."""
    fields = {name: dataset.fields[name] for name in FIELDS}
    for partition in dataset.partitions:
        for batch in read_batches(fields, dataset.index_location, partition.name):
            yield len(batch), pc.sum(pc.binary_length(batch.column("image"))).as_py()


def polars(dataset: Manifest) -> Iterator[tuple[int, int]]:
    """Yield the same for each partition."""
    import polars as pl  # noqa: PLC0415 - a peer, for this alone

    for partition in dataset.partitions:
        images, vectors = (
            pl.read_parquet(
                partition_file(dataset.fields[name].location, partition.name), columns=["id", name]
            )
            for name in FIELDS
        )
        both = vectors.join(images, on="id", how="inner", maintain_order="left")
        yield len(both), both["image"].bin.size().sum()


def main() -> None:
    """Run from the command line."""
    what, place = sys.argv[1:]
    if what == "make":
        print(make(Path(place)).location)
        return
    read = {"ours": ours, "polars": polars}[what]
    dataset = Manifest.read(place)
    next(read(dataset))  # triggers the lazy imports
    start = time.process_time()
    rows, size = map(sum, zip(*read(dataset), strict=True))
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(rows, size, seconds, peak)


if __name__ == "__main__":
    main()
