"""Slots in the memory of a batch, filled in parallel: a batch is never copied.

They are filled by threads, or by processes that share the memory. Memory is reused as soon as
nothing refers to its pixels: new memory costs a page fault per page, and far more if a GPU is to
read it (pinned).
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from weakref import finalize

import numpy as np
import torch

from image_toolkit.models.runtime.blocks import Block
from image_toolkit.models.runtime.preparation import PixelPreparation
from image_toolkit.models.runtime.resizing import Pixels


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """The memory of a batch: pixels, shape (images, height, width, 3), and how to prepare them.

    `file` is the descriptor through which other processes map the same memory; None if not shared.
    """

    pixels: Pixels
    preparation: PixelPreparation
    file: int | None


class Slot:
    """The place of one image in the memory of its batch; as an array, its pixels.

    `awaits` is the file of an image that a process is to prepare here, if there is one.
    """

    __slots__ = ("awaits", "batch", "is_filled", "number")

    def __init__(self, batch: Batch, number: int) -> None:
        """Take place `number` in a batch."""
        self.batch = batch
        self.number = number
        self.is_filled = False
        self.awaits: bytes | memoryview | None = None

    @property
    def pixels(self) -> Pixels:
        """The pixels: uint8, shape (height, width, 3), a view."""
        pixels: Pixels = self.batch.pixels[self.number]
        return pixels

    def fill(self, pixels: Pixels) -> None:
        """Write pixels here."""
        self.batch.pixels[self.number] = pixels
        self.mark_filled()

    def mark_filled(self) -> None:
        """Record that a process has written pixels here."""
        self.is_filled = True
        self.awaits = None

    def move(self, number: int) -> None:
        """Move the pixels to another place, overwriting what is there."""
        if number != self.number:
            self.batch.pixels[number] = self.pixels
            self.number = number

    def is_followed_by(self, other: Any) -> bool:
        """Return whether another item is in the place right after this one."""
        return (
            isinstance(other, Slot)
            and other.batch is self.batch
            and other.number == self.number + 1
        )

    def upto(self, last: "Slot") -> Pixels:
        """Return the pixels from here to `last`, shape (images, height, width, 3), a view."""
        return self.batch.pixels[self.number : last.number + 1]

    def __array__(self, dtype: Any = None, copy: Any = None) -> Pixels:
        return np.array(self.pixels, dtype, copy=copy)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as an array, without the batch."""
        return np.array, (self.pixels,)


MakeSlots = Callable[[int], Sequence[Slot | None]]
"""Returns a slot for each of so many rows, or None for each."""


def slots_for(
    prepare: Callable[..., Any], *, pinned: bool = False, shared: bool = False
) -> MakeSlots:
    """Return what allocates the slots for what `prepare` makes: None each unless that is pixels."""
    if not isinstance(prepare, PixelPreparation):
        return lambda count: [None] * count
    memory = _Memory(prepare, pinned=pinned, shared=shared)

    def make(count: int) -> Sequence[Slot]:
        batch = memory.take(count)
        return [Slot(batch, number) for number in range(count)]

    return make


class _Memory:
    """Reusable memory for batches of pixels."""

    def __init__(self, preparation: PixelPreparation, *, pinned: bool, shared: bool) -> None:
        self._preparation = preparation
        self._pinned = pinned
        self._shared = shared
        self._free: list[Block] = []

    def take(self, count: int) -> Batch:
        """Return memory for so many images, in use until no view of it is left."""
        block = self._unused(count)
        pixels: Pixels = block.images[:count].numpy()
        finalize(pixels, self._free.append, block).atexit = False
        return Batch(pixels, self._preparation, block.file)

    def _unused(self, count: int) -> Block:
        with suppress(IndexError):  # none is free: other partitions use some, too
            while True:
                block = self._free.pop()
                if len(block.images) >= count:  # smaller ones are dropped: batches have grown
                    return block
        return Block(count, self._preparation.shape, pinned=self._pinned, shared=self._shared)


def close_ranks(slots: Sequence[Slot | None]) -> None:
    """Move the pixels of a batch's filled slots, in order, to the start of its memory."""
    filled = [slot for slot in slots if slot is not None and slot.is_filled]
    for number, slot in enumerate(filled):
        slot.move(number)


def stacked(items: Sequence[Any]) -> torch.Tensor:
    """Return the pixels of prepared images, uint8 (images, height, width, 3).

    Adjacent slots are not copied.
    """
    first, last = items[0], items[-1]
    if isinstance(first, Slot) and all(one.is_followed_by(two) for one, two in pairwise(items)):
        return torch.from_numpy(first.upto(last))
    return torch.from_numpy(np.stack(items))
