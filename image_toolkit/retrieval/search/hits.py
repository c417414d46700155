"""Hits: what a search found, as columns, and the interface that every index has."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from image_toolkit.retrieval.search.model_identity import ModelIdentity

IntArray: TypeAlias = NDArray[np.int64]
FloatArray: TypeAlias = NDArray[np.float32]
BoolArray: TypeAlias = NDArray[np.bool_]

CLIP_RETRIEVAL_DUPLICATE_THRESHOLD: Final = 0.94
"""Above this cosine similarity, clip-retrieval's service takes two images for the same one."""


@dataclass(frozen=True)
class Failure:
    """Why one query got no answer; `passing` if another try may get one."""

    reason: str
    message: str
    attempts: int = 1
    passing: bool = False


@dataclass(frozen=True)
class Hits:
    """The hits of a number of queries, one row a hit: queries in order, best hit first.

    `query` is the number of the query, `index_id` the hit's row in the index, `similarity` the
    cosine, and `metadata` the row's columns in the index. `failures` holds, by number, the queries
    that could not be answered; a query with neither hits nor a failure has no neighbours. `vectors`
    are those of the hits, of shape (n, dimension), where they were asked for.
    """

    query: IntArray
    index_id: IntArray
    similarity: FloatArray
    metadata: pa.Table
    failures: Mapping[int, Failure] = field(default_factory=dict)
    vectors: FloatArray | None = None

    def __len__(self) -> int:
        """Return the number of hits."""
        return len(self.query)

    def keep(self, mask: BoolArray) -> "Hits":
        """Return the hits where `mask` is true."""
        return self.take(np.flatnonzero(mask))

    def take(self, rows: IntArray) -> "Hits":
        """Return the hits with the numbers `rows`, in that order, by query."""
        return Hits(
            self.query[rows],
            self.index_id[rows],
            self.similarity[rows],
            self.metadata.take(pa.array(rows)),
            self.failures,
            None if self.vectors is None else self.vectors[rows],
        )

    def counts(self, queries: int) -> IntArray:
        """Return the number of hits of each of `queries` queries."""
        return np.bincount(self.query, minlength=queries)

    def ranks(self) -> IntArray:
        """Return the place of each hit among those of its query, from 0."""
        first = np.searchsorted(self.query, self.query)
        return np.arange(len(self)) - first


def merge_hits(parts: Sequence[Hits]) -> Hits:
    """Return the hits of several searches, whose query numbers do not overlap, as one.

    Without their vectors, of which there would be many.
    """
    query = np.concatenate([part.query for part in parts])
    order = np.argsort(query, kind="stable")
    metadata = pa.concat_tables([p.metadata for p in parts], promote_options="permissive")
    return Hits(
        query[order],
        np.concatenate([part.index_id for part in parts])[order],
        np.concatenate([part.similarity for part in parts])[order],
        metadata.take(pa.array(order)),
        {number: failure for part in parts for number, failure in part.failures.items()},
    )


@dataclass(frozen=True)
class IndexInfo:
    """What is known of an index; None where the index does not say.

    `fingerprint` is that of samples of its files. `model` made the vectors. `columns` names the
    metadata columns.
    """

    location: str
    fingerprint: str
    dimension: int | None = None
    rows: int | None = None
    model: ModelIdentity | None = None
    columns: tuple[str, ...] | None = None

    @property
    def model_id(self) -> str | None:
        """The name of the model."""
        return self.model.name if self.model else None


class Index(ABC):
    """Something that finds the nearest images to CLIP vectors."""

    info: IndexInfo
    schema: pa.Schema = pa.schema([])
    """The types of the metadata, where they are known before anything is asked."""

    @abstractmethod
    def search(
        self,
        queries: FloatArray,
        count: int,
        *,
        columns: Sequence[str],
        duplicate_threshold: float | None,
        with_vectors: bool = False,
    ) -> Hits:
        """Return up to `count` nearest rows for each of `queries`, of shape (n, dimension).

        Queries must have length 1. Of hits whose vectors are nearer to each other than
        `duplicate_threshold`, only the best is returned. `columns` are the metadata columns wanted.
        `with_vectors` asks for the vectors of the hits too, which a service does not have.
        """

    def probe(self, dimension: int) -> None:  # noqa: B027 - only a service can disappoint here
        """Make sure that queries of `dimension` will be answered.

        Raises:
            InputDataError: they will not.
        """

    def check_answers(self) -> None:  # noqa: B027 - as above
        """Make sure that it still answers, after queries that it did not.

        Raises:
            InputDataError: it is away, so that no query is to blame.
        """

    def close(self) -> None:  # noqa: B027 - most indexes hold nothing but memory maps
        """Release connections."""
