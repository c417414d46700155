"""Synthetic vectors distributed like those of CLIP: in topics, each of low dimension."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

DIMENSION, LATENT, TOPICS = 512, 48, 2000
ROWS_AT_ONCE = 50_000

Vectors = NDArray[np.float32]


def clip_like(rows: int, seed: int) -> Vectors:
    """Return unit vectors, (rows, 512), whose top neighbours have cosines of about 0.8."""
    world = np.random.default_rng(0)
    spectrum = (1 / np.sqrt(np.arange(1, LATENT + 1))).astype(np.float32)
    spectrum /= np.linalg.norm(spectrum)
    topics = world.standard_normal((TOPICS, LATENT), np.float32) * spectrum
    axes = np.linalg.qr(world.standard_normal((DIMENSION, LATENT)))[0].T.astype(np.float32)
    common = world.standard_normal(DIMENSION, np.float32)
    common *= 0.6 / np.linalg.norm(common)
    own = np.random.default_rng(seed)
    within = 0.8 * own.standard_normal((rows, LATENT), np.float32) * spectrum
    noise = 0.35 / np.sqrt(DIMENSION) * own.standard_normal((rows, DIMENSION), np.float32)
    found = (topics[own.integers(TOPICS, size=rows)] + within) @ axes + common + noise
    unit: Vectors = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
    return unit


def write_source(file: Path, rows: int, start: int = 0, kind: type = np.float32) -> None:
    """Write a Parquet file of URLs, captions and vectors, with rows numbered from `start`."""
    writer = None
    for first in range(start, start + rows, ROWS_AT_ONCE):
        count = min(ROWS_AT_ONCE, start + rows - first)
        vectors = clip_like(count, seed=1 + first).astype(kind)
        numbers = range(first, first + count)
        table = pa.table(
            {
                "url": [f"https://host-{n % 997}.example/photos/{n:09d}.jpg" for n in numbers],
                "caption": [f"a photograph, number {n}, of topic and place" for n in numbers],
                "embedding": pa.FixedSizeListArray.from_arrays(
                    pa.array(vectors.ravel()), DIMENSION
                ),
            }
        )
        writer = writer or pq.ParquetWriter(file, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()
