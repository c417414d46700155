"""The baseline for `ivf_pq`: an inverted file of plain PQ codes, without refinement.

This is the usual compressed index of FAISS, and what this project built before: one byte per two
dimensions, with the number of lists to search doubled until the recall grows by less than 0.01.
"""

import time
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from image_toolkit.retrieval.build.recall import recall
from image_toolkit.retrieval.search.hits import FloatArray, IntArray
from image_toolkit.retrieval.search.vectors import VectorFiles

WORTHWHILE = 0.01


@dataclass(frozen=True)
class Rate:
    """Queries per second, by wall-clock and CPU time, and their recall."""

    recall: float
    queries_per_second: float
    queries_per_cpu_second: float


def rate_of(index: Any, queries: FloatArray, true: IntArray) -> Rate:
    """Measure one batch of queries; `index.search` is that of FAISS."""
    index.search(queries[:10], true.shape[1])
    clock, processor = time.perf_counter(), time.process_time()
    _, found = index.search(queries, true.shape[1])
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    return Rate(recall(found, true), len(queries) / clock, len(queries) / processor)


def build_plain(vectors: VectorFiles, file: Path) -> float:
    """Write the index of some vectors to `file`; return its CPU seconds."""
    start = time.process_time()
    rows = len(vectors)
    lists = int(2 * sqrt(rows))
    key = f"IVF{lists},PQ{vectors.dimension // 2}x8"
    index: Any = faiss.index_factory(vectors.dimension, key, faiss.METRIC_INNER_PRODUCT)
    index.do_polysemous_training = False
    index.pq.cp.niter, index.pq.cp.max_points_per_centroid = 10, 64
    chosen = np.random.default_rng(0).choice(rows, min(rows, 39 * lists), replace=False)
    sample = vectors.take(np.sort(chosen))
    index.train_q1(len(sample), faiss.swig_ptr(sample), False, index.metric_type)  # noqa: FBT003
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    index.train(sample)
    faiss.omp_set_num_threads(threads)
    for chunk in vectors.chunks():
        index.add(chunk)
    faiss.write_index(index, str(file))
    return time.process_time() - start


def plain_rate(file: Path, queries: FloatArray, true: IntArray) -> Rate:
    """Search the memory-mapped index in `file` in ever more lists, until that hardly helps."""
    index: Any = faiss.read_index(str(file), faiss.IO_FLAG_MMAP_IFC)
    last = None
    for effort in (4, 8, 16, 32, 64, 128, 256):
        index.nprobe = effort
        now = rate_of(index, queries, true)
        if last is not None and now.recall - last.recall < WORTHWHILE:
            return now
        last = now
    return now
