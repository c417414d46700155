"""Pixels are put where their batch is, once, and a batch is handed on without a copy."""

import io
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from fondant_spec.dataset.rejects import Rejects
from image_toolkit.models.runtime.feed import Feed, prepared
from image_toolkit.models.runtime.feed_rows import FeedRow
from image_toolkit.models.runtime.preparation import PixelPreparation
from image_toolkit.models.runtime.slots import close_ranks, slots_for, stacked

SHAPE = (2, 3, 3)
PREPARE = PixelPreparation((2, 3), None, Image.Resampling.BICUBIC, 1, (0, 0, 0), (1, 1, 1))


def colour(number: int) -> np.ndarray:
    """Return pixels that are all the same."""
    return np.full(SHAPE, number, np.uint8)


def png(number: int) -> bytes:
    """Return an image of one colour."""
    file = io.BytesIO()
    Image.fromarray(colour(number)).save(file, "PNG")
    return file.getvalue()


def filled(*numbers: int):
    """Return slots side by side, with pixels of these colours."""
    slots = slots_for(PREPARE)(len(numbers))
    for slot, number in zip(slots, numbers, strict=True):
        slot.fill(colour(number))
    return slots


def address(batch) -> int:
    """Return where an array begins."""
    return batch.__array_interface__["data"][0]


def test_slots_side_by_side_are_a_batch_without_a_copy():
    """All of a batch, or a part of it, is a view of the memory that was filled."""
    slots = filled(1, 2, 3, 4)
    for some in (slots, slots[1:3], slots[3:]):
        batch = stacked(some)
        assert batch.data_ptr() == address(some[0].pixels)
        np.testing.assert_array_equal(batch, np.stack([slot.pixels for slot in some]))


@pytest.mark.parametrize("order", [(0, 2), (1, 0), (0, 0)])
def test_others_are_copied(order):
    """What lies in another order, or with others between, is put together."""
    slots = filled(1, 2, 3)
    some = [slots[number] for number in order]
    np.testing.assert_array_equal(stacked(some)[:, 0, 0, 0], [number + 1 for number in order])


def test_arrays_and_slots_of_two_batches_are_copied():
    """Pixels from anywhere are a batch, too."""
    batch = stacked([*filled(1), *filled(2), colour(3)])
    np.testing.assert_array_equal(batch[:, 0, 0, 0], [1, 2, 3])


def test_gaps_are_closed():
    """Slots that are left move up, whoever holds them, and empty ones have no place among them."""
    slots = slots_for(PREPARE)(5)
    for number in (1, 2, 4):
        slots[number].fill(colour(number))
    close_ranks([slots[number] for number in (0, 2, 3, 4)])
    left = [slots[2], slots[4]]
    assert [slot.number for slot in left] == [0, 1]
    batch = stacked(left)
    assert batch.data_ptr() == address(left[0].pixels)
    np.testing.assert_array_equal(batch[:, 0, 0, 0], [2, 4])


def test_a_slot_goes_to_another_process_alone():
    """It is pickled as its own pixels, not with those of its batch."""
    slot = filled(*range(200))[7]
    sent = pickle.dumps(slot)
    assert len(sent) < 10 * slot.pixels.nbytes + 200
    np.testing.assert_array_equal(pickle.loads(sent), colour(7))


def test_memory_is_used_again_when_nobody_looks_at_it():
    """Memory goes from batch to batch, but never while a view of it is left."""
    make = slots_for(PREPARE)
    first = make(3)
    first[2].fill(colour(9))
    there, view = address(first[0].pixels), stacked(first[2:])
    del first
    second = make(3)
    assert address(second[0].pixels) != there
    assert (view == 9).all()
    del view
    assert address(make(2)[0].pixels) == there  # of which a part may do
    larger = make(50)
    assert stacked(larger).shape == (50, *SHAPE)


def test_partitions_share_their_memory():
    """Eight of them take and let go at the same time, and no two ever have the same."""
    make = slots_for(PREPARE)

    def partition(number):
        for count in range(1, 400):
            slots = make(count % 7 + 1)
            for slot in slots:
                slot.fill(colour(number))
            assert (stacked(slots) == number).all()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(partition, range(8)))


def test_what_is_not_pixels_has_no_slots():
    """Texts, and images that a processor takes whole, are items as they come."""
    assert slots_for(str.strip)(2) == [None, None]
    assert prepared(str.strip, FeedRow("a", " a "), None) == "a"


@pytest.mark.parametrize("ahead", [0, 2])
def test_a_damaged_image_costs_its_own_row_alone(ahead):
    """The others of its batch are still one piece of memory, in order, whatever the batch size."""
    sizes = iter([4, 1, 3, 5, 5])
    feed = Feed(
        lambda row, slot: prepared(PREPARE, row, slot),
        lambda: next(sizes),
        ahead=ahead,
        into=[PREPARE],
    )
    cells = [b"<html>" if number in {1, 2, 5, 9} else png(number) for number in range(11)]
    rejects, seen = Rejects(), []
    rows = (FeedRow(str(number), cell) for number, cell in enumerate(cells))
    for group in feed.groups(rows, rejects):
        batch = stacked(group.items)
        assert batch.data_ptr() == address(group.items[0].pixels)
        assert [int(row.id) for row in group.rows] == batch[:, 0, 0, 0].tolist()
        seen.append([int(row.id) for row in group.rows])
    feed.close()
    assert seen == [[0, 3], [4], [6, 7], [8, 10]]
    assert [row["id"] for row in rejects.to_table().to_pylist()] == ["1", "2", "5", "9"]
