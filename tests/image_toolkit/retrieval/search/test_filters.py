"""Limits, block lists and column names decide which hits are kept."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fondant_spec.errors import InvalidArgumentError
from image_toolkit.retrieval.search.columns import (
    ColumnChoice,
    MetadataColumns,
    find_columns,
    rename_usual,
)
from image_toolkit.retrieval.search.filters import HitFilters
from image_toolkit.retrieval.search.hits import Hits

COLUMNS = MetadataColumns("url", "caption", "punsafe", "pwatermark")
URLS = [
    "http://a.example/0.jpg",
    "http://b.example/1.jpg",
    "http://img.b.example/2.jpg",
    "http://c.example/3.jpg",
    None,
    "",
    "HTTP://C.example:80/3.jpg",
]


def hits(**columns: list[object]) -> Hits:
    """One query's hits, rows 10 to 16, at similarities 0.9 to 0.3."""
    rows = len(URLS)
    metadata = pa.table(
        {
            "url": URLS,
            "caption": ["c"] * rows,
            "punsafe": pa.array([0.1] * rows),
            "pwatermark": pa.array([0.1] * rows),
            **columns,
        },
    )
    similarity = np.linspace(0.9, 0.3, rows).astype(np.float32)
    return Hits(np.zeros(rows, np.int64), np.arange(10, 10 + rows), similarity, metadata)


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        ({}, [10, 11, 12, 13]),
        ({"min_similarity": 0.75}, [10, 11]),
        ({"max_similarity": 0.75}, [12, 13]),
        ({"min_similarity": 0.65, "max_similarity": 0.85}, [11, 12]),
    ],
)
def test_limits(limits: dict[str, float], kept: list[int]) -> None:
    """Only hits with a URL, of the right similarity and not seen before are kept."""
    found = HitFilters(**limits).apply(hits(), COLUMNS, unique_urls=True)

    assert found.index_id.tolist() == kept


def test_urls_may_come_twice() -> None:
    """Without `unique_urls`, hits of the same URL all stay."""
    found = HitFilters().apply(hits(), COLUMNS, unique_urls=False)

    assert found.index_id.tolist() == [10, 11, 12, 13, 16]


@pytest.mark.parametrize(
    ("blocked", "kept"),
    [
        ("http://a.example/0.jpg", [11, 12, 13]),
        ("b.example", [10, 13]),
        ("img.b.example", [10, 11, 13]),
        ("example", []),
        ("10\n13", [11, 12, 16]),
    ],
)
def test_blocked_images(tmp_path: Path, blocked: str, kept: list[int]) -> None:
    """URLs, hosts with their sub-domains and index ids on the block list are dropped."""
    file = tmp_path / "blocked.txt"
    file.write_text(blocked)

    found = HitFilters(block_list=str(file)).apply(hits(), COLUMNS, unique_urls=True)

    assert found.index_id.tolist() == kept


@pytest.mark.parametrize(
    ("limits", "columns", "kept"),
    [
        (HitFilters(max_unsafe=0.5), {"punsafe": [0.6, None, 0.5, 0.51, 0, 0, 0]}, [11, 12, 16]),
        (HitFilters(max_unsafe=1), {"punsafe": [0.6, None, 1, 1, 0, 0, 0]}, [10, 11, 12, 13]),
        (HitFilters(max_unsafe=1), {"punsafe": ["NSFW"] * 7}, [10, 11, 12, 13]),
        (HitFilters(max_watermark=0.8), {"pwatermark": [0.9, 0.8, 0.7, 1, 0, 0, 0]}, [11, 12, 16]),
        (
            HitFilters(max_unsafe=0.5),
            {"punsafe": ["NSFW", "UNLIKELY", "UNSURE", None, "", "", "nsfw"]},
            [11, 12, 13],
        ),
        (
            HitFilters(max_unsafe=0.5),
            {"punsafe": [True, False, True, None, None, None, None]},
            [11, 13],
        ),
    ],
)
def test_scores(limits: HitFilters, columns: dict[str, list[object]], kept: list[int]) -> None:
    """Scores above the limit, and the tag NSFW, drop a hit; a missing score does not."""
    found = limits.apply(hits(**columns), COLUMNS, unique_urls=True)

    assert found.index_id.tolist() == kept


def test_words_for_scores_are_told_once_a_step(caplog: pytest.LogCaptureFixture) -> None:
    """A step has its filters for all batches; another one tells them again."""
    told = []
    filters = HitFilters()
    for step in (filters, filters, HitFilters()):
        step.apply(hits(punsafe=["odd"] * 7), COLUMNS, unique_urls=False)
        told.append(len(caplog.records))
    assert told == [1, 1, 2]


def test_scores_that_the_index_lacks() -> None:
    """An index without scores loses nothing by the limits on them."""
    columns = MetadataColumns("url", None, None, None)

    found = HitFilters(max_unsafe=0.0, max_watermark=0.0).apply(hits(), columns, unique_urls=True)

    assert len(found) == 4


def test_one_url_for_two_seeds() -> None:
    """The same URL may be a hit of several queries."""
    one = hits()
    both = Hits(
        np.array([0, 1]),
        np.array([3, 3]),
        np.array([1, 1], np.float32),
        one.metadata.take(pa.array([0, 0])),
    )

    assert HitFilters().apply(both, COLUMNS, unique_urls=True).query.tolist() == [0, 1]


def test_limits_that_nothing_meets() -> None:
    """A lower limit above the upper one is refused."""
    with pytest.raises(InvalidArgumentError) as error:
        HitFilters(min_similarity=0.9, max_similarity=0.8)

    assert str(error.value) == "min_similarity (0.9) must not exceed max_similarity (0.8)."


@pytest.mark.parametrize(
    ("available", "url", "caption", "found"),
    [
        (("url", "caption", "NSFW"), None, None, ("url", "caption", "NSFW", None)),
        (
            ("URL", "TEXT", "punsafe", "pwatermark"),
            None,
            None,
            ("URL", "TEXT", "punsafe", "pwatermark"),
        ),
        (("image_url", "alt_text"), None, None, ("image_url", "alt_text", None, None)),
        (("url", "caption", "text"), None, "text", ("url", "text", None, None)),
        (("image_path", "caption"), "image_path", None, ("image_path", "caption", None, None)),
        (("url",), None, None, ("url", None, None, None)),
    ],
)
def test_usual_column_names(
    available: tuple[str, ...], url: str | None, caption: str | None, found: tuple[str | None, ...]
) -> None:
    """The columns of LAION, clip-retrieval and this pipeline are found under their own names."""
    columns = find_columns(available, ColumnChoice(url, caption))

    assert (columns.url, columns.caption, columns.unsafe, columns.watermark) == found


@pytest.mark.parametrize(
    ("available", "url", "extra", "message"),
    [
        (
            ("image_path",),
            None,
            (),
            (
                "url_column: the index has no column of the usual names (url, "
                "image_url, img_url, link). Say which of its columns holds the URLs: image_path."
            ),
        ),
        (
            ("url", "width"),
            "urls",
            (),
            "the index has no metadata column 'urls'; did you mean 'url'? It has: url, width.",
        ),
        (
            ("url", "width"),
            None,
            ("license",),
            "the index has no metadata column 'license'. It has: url, width.",
        ),
    ],
)
def test_columns_that_are_not_there(
    available: tuple[str, ...], url: str | None, extra: tuple[str, ...], message: str
) -> None:
    """A column that was asked for and is not there is named, beside those that are."""
    with pytest.raises(InvalidArgumentError) as error:
        find_columns(available, ColumnChoice(url), extra=extra)

    assert str(error.value) == message


def test_built_indexes_have_the_usual_names() -> None:
    """LAION's URL and TEXT become clip-retrieval's url and caption; other columns stay."""
    table = pa.table({"URL": ["u"], "TEXT": ["t"], "WIDTH": [1]})

    assert rename_usual(table).column_names == ["url", "caption", "WIDTH"]
