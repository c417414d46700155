"""A wanted number of images for each query, whatever has to be dropped on the way."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_toolkit.retrieval.search.columns import ColumnChoice, find_columns
from image_toolkit.retrieval.search.filters import HitFilters
from image_toolkit.retrieval.search.hits import Failure, FloatArray, Hits, Index, IndexInfo
from image_toolkit.retrieval.search.index_folder import IndexFolder
from image_toolkit.retrieval.search.retrieve import Wanted, retrieve

COLUMNS = find_columns(("url", "caption"), ColumnChoice())


class Shelf(Index):
    """An index whose rows are in the order of their numbers for every query; it counts searches."""

    def __init__(self, urls: Sequence[str], failing: Sequence[int] = ()) -> None:
        self.info = IndexInfo("shelf", "f", 2, len(urls), columns=("url", "caption"))
        self.urls = np.array(urls)
        self.failing = failing
        self.asked: list[tuple[int, int]] = []

    def search(self, queries: FloatArray, count: int, **_: object) -> Hits:
        """Return the first rows; queries that begin with a failing number fail."""
        self.asked.append((len(queries), count))
        count = min(count, len(self.urls))
        failures = {
            n: Failure("service_error", "500", 4)
            for n, q in enumerate(queries)
            if q[0] in self.failing
        }
        answered = [n for n in range(len(queries)) if n not in failures]
        ids = np.tile(np.arange(count), len(answered))
        table = pa.table({"url": self.urls[ids], "caption": ["c"] * len(ids)})
        similarity = (1 - ids / 1000).astype(np.float32)
        return Hits(np.repeat(answered, count).astype(np.int64), ids, similarity, table, failures)


def queries(*numbers: int) -> np.ndarray:
    """Queries that `Shelf` recognises by their first number."""
    return np.array([[number, 1] for number in numbers], np.float32)


def test_enough_at_once() -> None:
    """Where nothing is dropped, one search is enough, and the best hits are kept."""
    shelf = Shelf([f"http://a/{i}" for i in range(100)])

    hits = retrieve(shelf, queries(0, 1), Wanted(3), HitFilters(), COLUMNS)

    assert hits.index_id.tolist() == [0, 1, 2, 0, 1, 2]
    assert hits.query.tolist() == [0, 0, 0, 1, 1, 1]
    assert shelf.asked == [(2, 12)]


def test_more_is_asked_for_where_copies_are_dropped() -> None:
    """Queries left with too few are asked again for more, up to the wanted number."""
    shelf = Shelf([f"http://a/{i // 10}" for i in range(400)])

    hits = retrieve(shelf, queries(0), Wanted(27), HitFilters(), COLUMNS)

    assert hits.index_id.tolist() == list(range(0, 270, 10))
    assert shelf.asked == [(1, 42), (1, 143), (1, 683)]


def test_only_those_with_too_few_are_asked_again() -> None:
    """A query that has its images is not asked again, nor one that failed."""
    shelf = Shelf([f"http://a/{i // 10}" for i in range(400)], failing=[1])

    hits = retrieve(shelf, queries(0, 1, 2), Wanted(2), HitFilters(), COLUMNS)

    assert hits.query.tolist() == [0, 0, 2, 2]
    assert dict(hits.failures) == {1: Failure("service_error", "500", 4)}
    assert shelf.asked == [(3, 11)]


def test_an_exhausted_index() -> None:
    """An index that has no more is not asked without end; what it has is kept."""
    shelf = Shelf(["http://a/0", "http://a/1"])

    hits = retrieve(shelf, queries(0), Wanted(5), HitFilters(), COLUMNS)

    assert hits.index_id.tolist() == [0, 1]
    assert len(shelf.asked) == 2


def test_no_search_below_the_least_similarity() -> None:
    """Once hits are below min_similarity, further ones would be too, and are not asked for."""
    shelf = Shelf([f"http://a/{i}" for i in range(400)])

    hits = retrieve(shelf, queries(0), Wanted(10), HitFilters(min_similarity=0.9951), COLUMNS)

    assert hits.index_id.tolist() == [0, 1, 2, 3, 4]
    assert len(shelf.asked) == 1


def test_no_queries(small_index: Any) -> None:
    """No queries give no hits."""
    index = IndexFolder(small_index.folder).open()

    hits = retrieve(index, np.empty((0, 16), np.float32), Wanted(3), HitFilters(), COLUMNS)

    assert len(hits) == 0


@settings(deadline=None, max_examples=40)
@given(
    copies=st.lists(st.integers(0, 30), min_size=1, max_size=200),
    blocked=st.frozensets(st.integers(0, 199), max_size=50),
    wanted=st.integers(1, 12),
)
def test_the_best_distinct_images_are_found(
    copies: list[int], blocked: frozenset[int], wanted: int
) -> None:
    """The result is the first distinct, unblocked images, as if all rows had been looked at."""
    shelf = Shelf([f"http://a/{copy}" for copy in copies])
    with TemporaryDirectory() as folder:
        file = Path(folder) / "blocked.txt"
        file.write_text("\n".join(map(str, blocked)))
        filters = HitFilters(block_list=str(file))

    hits = retrieve(shelf, queries(0), Wanted(wanted), filters, COLUMNS)

    expected: dict[int, int] = {}
    for row, copy in enumerate(copies):
        if row not in blocked:
            expected.setdefault(copy, row)
    assert hits.index_id.tolist() == list(expected.values())[:wanted] or len(copies) > 25 * wanted
    assert hits.ranks().tolist() == list(range(len(hits)))


@pytest.mark.parametrize("layout", ["", "img_emb"])
def test_a_real_index_gives_the_wanted_number(small_index: Any, layout: str) -> None:
    """A real index gives num_images distinct, safe images for each seed, as brute force does."""
    index = IndexFolder(small_index.folder / layout).open()
    columns = find_columns(index.info.columns, ColumnChoice(), extra=["width"])
    seeds = small_index.vectors[[6, 48, 100]]

    hits = retrieve(index, seeds, Wanted(20), HitFilters(), columns)

    assert hits.counts(3).tolist() == [20, 20, 20]
    for number, seed in enumerate(seeds):
        allowed = [r for r in small_index.nearest(seed, 600) if r % 50 < 48 and r != 5]
        if number == 0:
            allowed.remove(7)
        found = hits.index_id[hits.query == number]
        assert [4 if row == 5 else row for row in found.tolist()] == allowed[:20]
