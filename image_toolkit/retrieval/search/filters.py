"""Which hits to keep: by similarity, unsafe and watermark scores, block list and URL."""

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
    """Drops hits without a URL, blocked hits, and hits beyond a limit; None means no limit.

    Scores range from 0 to 1, and a limit of 1 keeps everything. A missing score, as a column or in
    a row, does not exceed any limit. `block_list` is a file for `read_block_list`.

    Raises:
        InvalidArgumentError: no hit can satisfy the limits.
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
        """Non-numeric scores already warned about, so that each is reported once."""
        return set()

    def check(self, schema: pa.Schema, columns: MetadataColumns) -> None:
        """Check that the scores can be read, as far as the column types are known.

        Raises:
            InputDataError: a column with a limit is of a type that cannot be a score.
        """
        for limit, column, argument in self._limits(columns):
            check_scores(schema, column, limit, argument)

    def apply(self, hits: Hits, columns: MetadataColumns, *, unique_urls: bool) -> Hits:
        """Return the hits to keep, given the column names of the index.

        With `unique_urls`, only the best of a query's hits with the same URL is kept.
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
        """Return each limit on a score, with its column and the name of its argument."""
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
