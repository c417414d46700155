"""Retrieve a number of images per query, asking for more if too many are dropped."""

from dataclasses import dataclass
from math import ceil
from typing import Final

import numpy as np

from image_toolkit.retrieval.search.columns import MetadataColumns
from image_toolkit.retrieval.search.diversity import diverse
from image_toolkit.retrieval.search.filters import HitFilters
from image_toolkit.retrieval.search.hits import (
    CLIP_RETRIEVAL_DUPLICATE_THRESHOLD,
    BoolArray,
    FloatArray,
    Hits,
    Index,
    IntArray,
    merge_hits,
)
from image_toolkit.retrieval.search.neighbours import run_length

_EXTRA: Final = 8
_FACTORS: Final = (1.25, 5, 25)
"""Multiples of the wanted number to ask for: at first, and again if too few are left."""


@dataclass(frozen=True)
class Wanted:
    """How many images a query should get, and whether duplicates count.

    With `deduplicate`, images with the same URL count as one, as do those whose vectors have a
    cosine above `duplicate_threshold`. With `diversity`, they are chosen among five times as many,
    to differ from each other; see `diversity.diverse`.

    `spares` are extra images, as a fraction of `num_images`, to fall back on when URLs yield no
    image.
    """

    num_images: int = 2
    spares: float = 0.0
    deduplicate: bool = True
    duplicate_threshold: float = CLIP_RETRIEVAL_DUPLICATE_THRESHOLD
    diversity: float | None = None

    @property
    def with_spares(self) -> int:
        """The number of images a query should get, including spares."""
        return ceil(self.num_images * (1 + self.spares))

    @property
    def threshold(self) -> float | None:
        """The cosine above which two images count as one; None keeps all."""
        return self.duplicate_threshold if self.deduplicate else None


def retrieve(
    index: Index,
    queries: FloatArray,
    wanted: Wanted,
    filters: HitFilters,
    columns: MetadataColumns,
) -> Hits:
    """Return up to `wanted.with_spares` hits for each of `queries`, shape (n, dimension).

    Spares come last. A query that has too few hits left, after duplicates and unwanted hits are
    dropped, is repeated for more, up to 25 times the wanted number.
    """
    step = max(1, len(queries))
    if wanted.diversity is not None:  # the vectors of all hits are held in memory
        step = run_length(_asked(wanted, _FACTORS[-1]), queries.shape[1])
    parts = []
    for start in range(0, max(1, len(queries)), step):
        some = queries[start : start + step]
        found = _retrieve(index, some, wanted, filters, columns)
        parts.append(_renumber(found, np.arange(start, start + len(some))))
    return merge_hits(parts)


def _retrieve(
    index: Index,
    queries: FloatArray,
    wanted: Wanted,
    filters: HitFilters,
    columns: MetadataColumns,
) -> Hits:
    pending = np.arange(len(queries))
    parts: list[Hits] = []
    factors = _FACTORS if wanted.diversity is None else _FACTORS[1:]
    for factor in factors:
        found = index.search(
            queries[pending],
            _asked(wanted, factor),
            columns=columns.wanted(),
            duplicate_threshold=wanted.threshold,
            with_vectors=wanted.diversity is not None,
        )
        kept = filters.apply(found, columns, unique_urls=wanted.deduplicate)
        kept = _chosen(kept, wanted)
        settled = _settled(found, kept, len(pending), wanted.with_spares)
        if filters.min_similarity is not None:  # further hits would be below it, too
            settled[found.query[found.similarity < filters.min_similarity]] = True
        rows = index.info.rows
        if factor == factors[-1] or (rows is not None and rows <= _asked(wanted, factor)):
            settled[:] = True  # there are no more
        parts.append(_renumber(kept.keep(settled[kept.query]), pending))
        pending = pending[~settled]
        if not len(pending):
            break
    return merge_hits(parts)


def _asked(wanted: Wanted, factor: float) -> int:
    """Return how many hits to ask for."""
    return ceil(wanted.with_spares * factor) + _EXTRA


def _chosen(hits: Hits, wanted: Wanted) -> Hits:
    """Return the hits to keep among those that pass the filters; spares come last."""
    if wanted.diversity is None:
        return hits.keep(hits.ranks() < wanted.with_spares)
    turns = diverse(hits, wanted.with_spares, wanted.diversity)
    chosen = np.flatnonzero(turns < wanted.with_spares)
    is_spare = turns[chosen] >= wanted.num_images
    return hits.take(chosen[np.lexsort((is_spare, hits.query[chosen]))])


def _settled(found: Hits, kept: Hits, queries: int, wanted: int) -> BoolArray:
    """Return which queries need not be repeated: enough hits, or failed."""
    settled = kept.counts(queries) >= wanted
    settled[list(found.failures)] = True
    return settled


def _renumber(hits: Hits, numbers: IntArray) -> Hits:
    failures = {int(numbers[query]): failure for query, failure in hits.failures.items()}
    return Hits(numbers[hits.query], hits.index_id, hits.similarity, hits.metadata, failures)
