"""Which hits are worth keeping: similarity, unsafe and watermark scores, a block list, URLs."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa

from fondant_spec.errors import InputDataError, InvalidArgumentError
from image_toolkit.retrieval.search.columns import MetadataColumns
from image_toolkit.retrieval.search.duplicates import url_key
from image_toolkit.retrieval.search.hits import BoolArray, Hits
from image_toolkit.retrieval.search.scores import check_scores, exceeds


@dataclass(frozen=True)
class BlockList:
    """Images that must never be returned: by URL, by host (with its sub-domains) or by index id."""

    urls: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    ids: frozenset[int] = frozenset()

    def blocks(self, url: str, index_id: int) -> bool:
        """Return whether this hit is on the list."""
        if index_id in self.ids or (self.urls and url_key(url) in self.urls):
            return True
        return bool(self.hosts) and any(name in self.hosts for name in _domains(url))


def read_block_list(path: Path) -> BlockList:
    """Read a block list: a URL, a host or an index id on each line; `#` begins a comment.

    Raises:
        InputDataError: the file cannot be read, or a line is none of these.
    """
    urls, hosts, ids = set(), set(), set()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"block_list: cannot read {path} ({error})."
        raise InputDataError(msg) from error
    for number, line in enumerate(lines, start=1):
        entry = line.partition(" #")[0].strip()
        if not entry or entry.startswith("#"):
            continue
        if "://" in entry:
            urls.add(url_key(entry))
        elif entry.isdecimal():
            ids.add(int(entry))
        elif "/" in entry or " " in entry:
            msg = f"{path}, line {number}: {entry!r} is no URL (http://...), host or index id."
            raise InputDataError(msg)
        else:
            hosts.add(entry.lower().removeprefix("*.").rstrip("."))
    return BlockList(frozenset(urls), frozenset(hosts), frozenset(ids))


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
            mask &= ~exceeds(hits.metadata, column, limit, argument)
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


def _domains(url: str) -> Iterable[str]:
    """Yield the host of `url`, then the domains above it."""
    try:
        host = (urlsplit(url.strip()).hostname or "").rstrip(".")
    except ValueError:
        return
    while host:
        yield host
        host = host.partition(".")[2]
