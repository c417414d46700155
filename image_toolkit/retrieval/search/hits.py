"""Hits, the results of a search in columns, and the interface of all indexes."""

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
"""The cosine above which clip-retrieval's service considers two images the same."""


@dataclass(frozen=True)
class Failure:
    """Why a query was not answered; `passing` if another attempt may succeed."""

    reason: str
    message: str
    attempts: int = 1
    passing: bool = False


@dataclass(frozen=True)
class Hits:
    """The hits of several queries, one row per hit: queries in order, best hit first.

    `query` is the number of the query, `index_id` the hit's row in the index, `similarity` the
    cosine, and `metadata` the row's columns in the index. `failures` maps the numbers of failed
    queries to the reasons; a query with neither hits nor a failure has no neighbours. `vectors`,
    shape (n, dimension), are only present if requested.
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
        """Return the hits for which `mask` is true."""
        return self.take(np.flatnonzero(mask))

    def take(self, rows: IntArray) -> "Hits":
        """Return the hits with the numbers `rows`, in that order, which must be by query."""
        return Hits(
            self.query[rows],
            self.index_id[rows],
            self.similarity[rows],
            self.metadata.take(pa.array(rows)),
            self.failures,
            None if self.vectors is None else self.vectors[rows],
        )

    def counts(self, queries: int) -> IntArray:
        """Return the number of hits of each query."""
        return np.bincount(self.query, minlength=queries)

    def ranks(self) -> IntArray:
        """Return the rank of each hit within its query, from 0."""
        first = np.searchsorted(self.query, self.query)
        return np.arange(len(self)) - first


def merge_hits(parts: Sequence[Hits]) -> Hits:
    """Merge the hits of several searches, whose query numbers must not overlap.

    The vectors are dropped, to save memory.
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
    """What is known of an index; None for what it does not state.

    `fingerprint` hashes samples of its files. `model` made its vectors. `columns` are the names of
    the metadata columns.
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
    """Finds the nearest images to CLIP vectors."""

    info: IndexInfo
    schema: pa.Schema = pa.schema([])
    """The types of the metadata columns, if known before the first query."""

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
        """Return up to `count` nearest rows for each of `queries`, shape (n, dimension).

        Queries must have unit length. Of hits whose vectors are nearer to each other than
        `duplicate_threshold`, only the best is returned. `columns` are the metadata columns to
        return. `with_vectors` also requests the vectors of the hits, which a service does not
        return.
        """

    def probe(self, dimension: int) -> None:  # noqa: B027 - only a service can fail here
        """Check that queries of `dimension` will be answered.

        Raises:
            InputDataError: they will not.
        """

    def check_answers(self) -> None:  # noqa: B027 - as above
        """Check, after unanswered queries, that the index still answers at all.

        Raises:
            InputDataError: it is unreachable, so no query is to blame.
        """

    def close(self) -> None:  # noqa: B027 - most indexes hold nothing but memory maps
        """Release connections."""
