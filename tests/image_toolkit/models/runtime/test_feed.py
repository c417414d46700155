"""The feed keeps order, crosses record batches, and loses only rows that are unusable."""

import pyarrow as pa
import pytest

from fondant_spec.dataset.rejects import Rejects
from image_toolkit.images.image_errors import NotAnImageError
from image_toolkit.models.runtime.feed import Feed
from image_toolkit.models.runtime.feed_rows import FeedRow, UnusableError, rows_of


def batches(*sizes):
    """Yield record batches of these sizes."""
    start = 0
    for size in sizes:
        ids = [f"{n:03}" for n in range(start, start + size)]
        cells = pa.array(list(range(start, start + size)), pa.int64())
        yield pa.record_batch([pa.array(ids, pa.string()), cells], names=["id", "cell"])
        start += size


def prepare(row: FeedRow) -> int:
    """Return ten times the cell; 4 and 5 are unusable."""
    cell = row.cell()
    if cell == 4:
        raise NotAnImageError(reason="truncated", message="cut short")
    if cell == 5:
        raise UnusableError(reason="refused", message="no")
    return cell * 10


@pytest.mark.parametrize("ahead", [0, 1, 5])
def test_groups_cross_record_batches(ahead):
    """Model batches are full whatever the sizes of the record batches, and rows keep order."""
    rejects = Rejects()
    feed = Feed(prepare, lambda: 3, ahead=ahead)
    groups = list(feed.groups(rows_of(batches(2, 0, 2, 4), "cell"), rejects))
    feed.close()
    assert [group.items for group in groups] == [[0, 10, 20], [30], [60, 70]]
    assert [row.id for group in groups for row in group.rows] == [
        "000",
        "001",
        "002",
        "003",
        "006",
        "007",
    ]
    assert [(r["id"], r["reason"]) for r in rejects.to_table().to_pylist()] == [
        ("004", "truncated"),
        ("005", "refused"),
    ]


def test_size_may_change_between_groups():
    """The size is asked for each time, so that it may follow the memory."""
    sizes = iter([1, 2, 4])
    feed = Feed(FeedRow.cell, lambda: next(sizes), ahead=0)
    groups = feed.groups(rows_of(batches(6), "cell"), Rejects())
    assert [next(groups).items for _ in range(3)] == [[0], [1, 2], [3, 4, 5]]
    feed.close()


def test_groups_of_rejects_only_are_left_out():
    """A model never sees an empty batch."""
    feed = Feed(prepare, lambda: 1, ahead=0)
    groups = feed.groups(iter([FeedRow("a", 4), FeedRow("b", 1), FeedRow("c", None)]), Rejects())
    assert [group.items for group in groups] == [[10]]
    feed.close()


def test_defects_are_not_swallowed():
    """An error that is not about the row ends the partition, with its traceback."""
    feed = Feed(lambda row: 1 // row.data, lambda: 2, ahead=0)
    with pytest.raises(ZeroDivisionError):
        list(feed.groups(iter([FeedRow("a", 0)]), Rejects()))
    feed.close()


def test_other_columns_come_along_where_they_exist():
    """A row carries the columns asked for, if the dataset has them."""
    (row,) = rows_of(batches(1), "cell", ("id", "caption"))
    assert row.fields == {"id": "000"}
