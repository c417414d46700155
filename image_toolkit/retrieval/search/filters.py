"""Which hits are worth keeping: similarity, unsafe and watermark scores, a block list, URLs."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from fondant_spec.errors import InvalidArgumentError
from image_toolkit.retrieval.search.block_list import BlockList, read_block_list
from image_toolkit.retrieval.search.columns import MetadataColumns
from image_toolkit.retrieval.search.duplicates import url_key
from image_toolkit.retrieval.search.hits import BoolArray, Hits
from image_toolkit.retrieval.search.scores import Told, check_scores, exceeds


@dataclass(frozen=True)
class HitFilters:
    """Drops hits without a URL, blocked ones, and those beyond a limit; None leaves a limit out.

    Scores go from 0 to 1, and a limit of 1 keeps all. A score that the metadata lacks, as a column
    or in a row, breaks no limit. `block_list` is the file that `read_block_list` reads.

    Raises:
        InvalidArgumentError: limits that nothing can satisfy.
        InputDataError: the block list cannot be read.
    """

    min_similarity: float | None = None
    max_similarity: float | None = None
    max_unsafe: float = 0.5
    max_watermark: float = 0.8
    block_list: str | None = None

    def __post_init__(self) -> None:
        """Check the limits and read the block list, before any work is done."""
        low, high = self.min_similarity, self.max_similarity
        if low is not None and high is not None and low > high:
            msg = f"min_similarity ({low}) must not exceed max_similarity ({high})."
            raise InvalidArgumentError(msg)
        _ = self.blocked

    @cached_property
    def blocked(self) -> BlockList:
        """The content of the block list."""
        return BlockList() if self.block_list is None else read_block_list(Path(self.block_list))

    @cached_property
    def _told(self) -> Told:
        """Words in place of scores that were warned of: once, not for each batch of hits."""
        return set()

    def check(self, schema: pa.Schema, columns: MetadataColumns) -> None:
        """Make sure that the scores can be read, as far as the types of an index are known.

        Raises:
            InputDataError: one that there is a limit for is of a type that is no score.
        """
        for limit, column, argument in self._limits(columns):
            check_scores(schema, column, limit, argument)

    def apply(self, hits: Hits, columns: MetadataColumns, *, unique_urls: bool) -> Hits:
        """Return the hits to keep, given the names that the index has for its columns.

        With `unique_urls`, of the hits of one query that have the same URL the best one is kept.
        """
        mask = np.ones(len(hits), np.bool_)
        if self.min_similarity is not None:
            mask &= hits.similarity >= self.min_similarity
        if self.max_similarity is not None:
            mask &= hits.similarity <= self.max_similarity
        for limit, column, argument in self._limits(columns):
            mask &= ~exceeds(hits.metadata, column, limit, argument, self._told)
        hits = hits.keep(mask)
        return hits.keep(self._by_url(hits, columns.url, unique=unique_urls))

    def _limits(self, columns: MetadataColumns) -> list[tuple[float, str | None, str]]:
        """Return the limits on scores, with the columns that have them and the arguments' names."""
        return [
            (self.max_unsafe, columns.unsafe, "max_unsafe"),
            (self.max_watermark, columns.watermark, "max_watermark"),
        ]

    def _by_url(self, hits: Hits, column: str, *, unique: bool) -> BoolArray:
        urls = hits.metadata[column].to_pylist()
        rows = zip(hits.query.tolist(), urls, hits.index_id.tolist(), strict=True)
        seen: set[tuple[int, str]] = set()
        keep = []
        for query, url, index_id in rows:
            wanted = isinstance(url, str) and bool(url) and not self.blocked.blocks(url, index_id)
            if wanted and unique:
                key = (query, url_key(url))
                wanted = key not in seen
                seen.add(key)
            keep.append(wanted)
        return np.array(keep, np.bool_)
