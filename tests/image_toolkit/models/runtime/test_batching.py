"""Batch sizes follow the memory: halved after a real out-of-memory error, then grown again."""

import pytest
import torch

from image_toolkit.models.runtime.batching import BatchSize, run_batch
from image_toolkit.models.runtime.out_of_memory import is_out_of_memory

BEYOND_ANY_MEMORY = 1 << 58


def fits(most: int):
    """Return a model that really runs out of memory with more than `most` items."""
    seen = []

    def run(items):
        seen.append(len(items))
        if len(items) > most:
            torch.empty(BEYOND_ANY_MEMORY)
        return [item * 10 for item in items]

    return run, seen


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_memory_errors_are_told_from_others(error, expected):
    """Only errors that say that memory ran out lead to smaller batches."""
    assert is_out_of_memory(error) is expected


def test_halves_until_it_fits():
    """A batch that does not fit is halved until it does, and no item is lost or done twice."""
    run, seen = fits(3)
    size = BatchSize(16)
    assert run_batch(list(range(16)), run, size) == [item * 10 for item in range(16)]
    assert seen == [16, 8, 4] + [2] * 8
    assert (size.now, size.halvings) == (2, 3)


def test_next_batches_start_at_the_size_that_fits():
    """What was learnt about the memory holds for the batches that follow."""
    run, seen = fits(4)
    size = BatchSize(8)
    run_batch(list(range(8)), run, size)
    seen.clear()
    run_batch(list(range(8)), run, size)
    assert seen == [4, 4]


def test_single_item_that_does_not_fit_is_none():
    """An item that does not fit alone is given up on, and the others are not."""

    def run(items):
        if 2 in items:
            torch.empty(BEYOND_ANY_MEMORY)
        return items

    assert run_batch([1, 2, 3], run, BatchSize(4)) == [1, None, 3]


def test_other_errors_are_not_swallowed():
    """A defect of the model is no lack of memory: it comes out as it is."""

    def run(_items):
        msg = "shapes"
        raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="shapes"):
        run_batch([1], run, BatchSize(1))


def test_grows_up_to_the_most():
    """After calm full batches the size doubles, but not beyond its bound."""
    size = BatchSize(2, most=8, calm=3)
    grown = []
    for _ in range(12):
        size.succeeded(size.now)
        grown.append(size.now)
    assert grown == [2, 2, 4, 4, 4, 8, 8, 8, 8, 8, 8, 8]


def test_grows_back_more_slowly_after_a_failure():
    """A size that failed is tried again, but only after four times as many calm batches."""
    size = BatchSize(8, calm=2)
    size.failed(8)
    for _ in range(7):
        size.succeeded(4)
    assert size.now == 4
    size.succeeded(4)
    assert size.now == 8


def test_part_batches_do_not_count_as_calm():
    """A batch that was not full says nothing about whether a larger one would fit."""
    size = BatchSize(4, most=8, calm=1)
    size.succeeded(3)
    assert size.now == 4
