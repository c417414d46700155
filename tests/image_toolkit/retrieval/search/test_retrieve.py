"""The requested number of images for each query, whatever has to be dropped along the way."""

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
from image_toolkit.retrieval.search.diversity import diverse
from image_toolkit.retrieval.search.filters import HitFilters
from image_toolkit.retrieval.search.hits import Failure, FloatArray, Hits, Index, IndexInfo
from image_toolkit.retrieval.search.index_folder import IndexFolder
from image_toolkit.retrieval.search.retrieve import Wanted, retrieve
from tests.image_toolkit.retrieval.conftest import Fixture, metadata_of, random_vectors, write_index

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
    assert len(shelf.asked) == 1


def test_copies_that_fill_a_search_hide_no_other_images(tmp_path: Path) -> None:
    """Where all of a first and second search are one picture, the pictures behind it are found."""
    centres = random_vectors(20)
    copies = np.repeat(centres, 30, axis=0) + 0.01 * random_vectors(600, seed=1)
    copies /= np.linalg.norm(copies, axis=1, keepdims=True)
    folder = write_index(tmp_path / "index", copies, metadata_of(600)).folder

    hits = retrieve(IndexFolder(folder).open(), centres, Wanted(3), HitFilters(), COLUMNS)

    assert hits.counts(20).tolist() == [3] * 20


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


def spread(vectors: np.ndarray) -> float:
    """Return the mean cosine between different ones of some unit vectors."""
    among = vectors @ vectors.T
    return float(among[~np.eye(len(vectors), dtype=bool)].mean())


def test_diverse_hits_differ_from_each_other(small_index: Fixture) -> None:
    """The more diversity, the less alike the hits of a seed are; the nearest one is among them."""
    index = IndexFolder(small_index.folder).open()
    seeds = small_index.vectors[:40]
    alike, first = [], []
    for diversity in (None, 0.0, 0.5, 1.0):
        wanted = Wanted(8, diversity=diversity)
        hits = retrieve(index, seeds, wanted, HitFilters(), COLUMNS)
        assert hits.counts(40).tolist() == [8] * 40
        first.append(hits.index_id[hits.ranks() == 0].tolist())
        by_seed = hits.index_id.reshape(40, 8)
        alike.append(np.mean([spread(small_index.vectors[ids]) for ids in by_seed]))
    assert first == [first[0]] * 4
    assert alike[0] == pytest.approx(alike[1])  # the nearest
    assert alike[1] > alike[2] + 0.05
    assert alike[2] > alike[3]


def test_diverse_hits_in_runs(small_index: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few queries are searched at once, each gets the same hits."""
    index = IndexFolder(small_index.folder).open()
    wanted = Wanted(4, diversity=0.5)
    whole = retrieve(index, small_index.vectors[:30], wanted, HitFilters(), COLUMNS)
    monkeypatch.setattr("image_toolkit.retrieval.search.retrieve.run_length", lambda *_: 7)
    parts = retrieve(index, small_index.vectors[:30], wanted, HitFilters(), COLUMNS)
    assert parts.query.tolist() == whole.query.tolist()
    assert parts.index_id.tolist() == whole.index_id.tolist()


@given(seed=st.integers(0, 1000), count=st.integers(1, 12), diversity=st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_diversity_is_what_its_definition_says(seed: int, count: int, diversity: float) -> None:
    """Each choice has the most marginal relevance of those left, by the definition's own words."""
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(1, 12))
    vectors = rng.standard_normal((rows, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    nearness = np.sort(rng.uniform(-1, 1, rows).astype(np.float32))[::-1].copy()
    empty = pa.table({"url": ["u"] * rows})
    hits = Hits(np.zeros(rows, np.int64), np.arange(rows), nearness, empty, vectors=vectors)

    chosen: list[int] = []
    while len(chosen) < min(count, rows):
        left = [row for row in range(rows) if row not in chosen]
        worth = [
            (1 - diversity) * nearness[row]
            - diversity * max((vectors[row] @ vectors[one] for one in chosen), default=-1)
            for row in left
        ]
        chosen.append(left[int(np.argmax(worth))])

    assert np.flatnonzero(diverse(hits, count, diversity) < count).tolist() == sorted(chosen)
