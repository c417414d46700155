"""Builds one index and measures its search: a line of figures."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.clip_vectors import Vectors
from benchmarks.index_processes import Taken, build, memory_of, size_of
from benchmarks.plain_codes import Rate, rate_of
from image_toolkit.retrieval.search.faiss_search import FaissSearch


@dataclass(frozen=True)
class Figures:
    """The cost of building one index, and the quality and speed of its search."""

    rows: int
    kind: str
    taken: Taken
    size_gb: float
    bytes_per_vector: float
    rate: Rate


@dataclass(frozen=True)
class Mapped:
    """An index as it is searched: memory-mapped from its files, in either layout."""

    search_in: FaissSearch

    def search(self, queries: Vectors, count: int) -> tuple[Vectors, Any]:
        """Return similarities and rows, as a FAISS index does."""
        runs = [*self.search_in.neighbours(queries, count, with_vectors=False)]
        return np.concatenate([r.similarity for r in runs]), np.concatenate([r.ids for r in runs])


def measure(
    source: Path,
    folder: Path,
    kind: str,
    queries: Vectors,
    true: Any,
    *options: str,
    name: str = "",
) -> Figures:
    """Build an index of one kind, and measure its search against the `true` neighbours."""
    taken = build(source, folder, kind, *options)
    file = folder / "image.index"
    search = FaissSearch(file)
    rate_of(Mapped(search), queries, true)  # brings what is searched into the page cache
    rate = rate_of(Mapped(search), queries, true)
    size = size_of(file) / 2**30
    memory = memory_of(file) / search.rows
    return told(Figures(search.rows, name or kind, taken, size, memory, rate))


def told(figures: Figures) -> Figures:
    """Print and return the figures of one index."""
    taken = figures.taken
    peak = f", peak {taken.peak_gb:.2f} GB" if taken.peak_gb else ""
    print(
        f"{figures.rows:>9,} {figures.kind:7} built in {taken.seconds:6.1f} s, of processor time "
        f"{taken.cpu_seconds:.1f} s{peak}, "
        f"file {figures.size_gb:.2f} GB, {figures.bytes_per_vector:.0f} bytes a vector in memory, "
        f"recall@10 {figures.rate.recall:.4f}, {figures.rate.queries_per_second:,.0f} queries/s, "
        f"{figures.rate.queries_per_cpu_second:,.0f} in a second of processor time",
        flush=True,
    )
    return figures
