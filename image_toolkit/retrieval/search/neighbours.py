"""Neighbours: row numbers and similarities, before duplicates are dropped and metadata is read."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from image_toolkit.retrieval.search.hits import FloatArray, IntArray

_RUN_BYTES: Final = 64 << 20


@dataclass(frozen=True)
class Neighbours:
    """The neighbours of the queries from number `first` on, best first.

    `similarity` and `ids` have shape (queries, count), `vectors` (queries, count, dimension). If
    there are fewer neighbours, the last ids of a query are -1.
    """

    first: int
    similarity: FloatArray
    ids: IntArray
    vectors: FloatArray | None


class NeighbourSearch(Protocol):
    """Finds the nearest vectors, exhaustively or with a FAISS index."""

    dimension: int
    rows: int

    def neighbours(
        self,
        queries: FloatArray,
        count: int,
        *,
        with_vectors: bool,
    ) -> Iterator[Neighbours]:
        """Yield the `count` nearest rows of each query, in runs of queries."""


def run_length(count: int, dimension: int) -> int:
    """Return how many queries to process at once, to fit their neighbours' vectors in 64 MiB."""
    return max(1, _RUN_BYTES // (4 * count * dimension))
