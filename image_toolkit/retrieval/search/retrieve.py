"""Retrieve a wanted number of images for each query, asking for more where too many are dropped."""

from dataclasses import dataclass
from math import ceil
from typing import Final

import numpy as np

from image_toolkit.retrieval.search.columns import MetadataColumns
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

_EXTRA: Final = 8
_FACTORS: Final = (1.25, 5, 25)
"""How many times the wanted number to ask for, first, and again where that left too few."""


@dataclass(frozen=True)
class Wanted:
    """How many images a query should get, and whether copies of one image count as one.

    With `deduplicate`, images of the same URL count as one, and those whose vectors have a cosine
    above `duplicate_threshold`.
    """

    num_images: int = 2
    deduplicate: bool = True
    duplicate_threshold: float = CLIP_RETRIEVAL_DUPLICATE_THRESHOLD

    @property
    def threshold(self) -> float | None:
        """The cosine above which two images count as one; None keeps them all."""
        return self.duplicate_threshold if self.deduplicate else None


def retrieve(
    index: Index,
    queries: FloatArray,
    wanted: Wanted,
    filters: HitFilters,
    columns: MetadataColumns,
) -> Hits:
    """Return up to `wanted.num_images` hits for each of `queries`, of shape (n, dimension).

    A query that is left with too few once duplicates and unwanted hits are dropped is asked again
    for more, up to 25 times the wanted number.
    """
    pending = np.arange(len(queries))
    before = np.zeros(len(queries), np.int64)
    parts: list[Hits] = []
    for factor in _FACTORS:
        found = index.search(
            queries[pending],
            ceil(wanted.num_images * factor) + _EXTRA,
            columns=columns.wanted(),
            duplicate_threshold=wanted.threshold,
        )
        kept = filters.apply(found, columns, unique_urls=wanted.deduplicate)
        kept = kept.keep(kept.ranks() < wanted.num_images)
        settled = _settled(found, kept, before, wanted.num_images)
        if filters.min_similarity is not None:  # further hits would be below it, too
            settled[found.query[found.similarity < filters.min_similarity]] = True
        if factor == _FACTORS[-1]:
            settled[:] = True
        parts.append(_renumber(kept.keep(settled[kept.query]), pending))
        before = found.counts(len(pending))[~settled]
        pending = pending[~settled]
        if not len(pending):
            break
    return merge_hits(parts)


def _settled(found: Hits, kept: Hits, before: IntArray, wanted: int) -> BoolArray:
    """Return which queries need not be asked again: enough kept, no more to be found, or failed."""
    counts = found.counts(len(before))
    settled = (kept.counts(len(before)) >= wanted) | (counts <= before)
    settled[list(found.failures)] = True
    return settled


def _renumber(hits: Hits, numbers: IntArray) -> Hits:
    failures = {int(numbers[query]): failure for query, failure in hits.failures.items()}
    return Hits(numbers[hits.query], hits.index_id, hits.similarity, hits.metadata, failures)
