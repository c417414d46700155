"""Places in the memory of a batch, which threads fill side by side: a batch is never copied.

The memory is used again as soon as nothing refers to its pixels: what is new costs a fault for each
page, and far more where a GPU is to read it (pinned).
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any
from weakref import finalize

import numpy as np
import torch

from image_toolkit.models.runtime.preparation import PixelPreparation
from image_toolkit.models.runtime.resizing import Pixels


class Slot:
    """The place of one image in the memory of its batch; as an array, its pixels."""

    __slots__ = ("_batch", "is_filled", "number")

    def __init__(self, batch: Pixels, number: int) -> None:
        """Take place `number` in a batch of shape (images, height, width, 3)."""
        self._batch = batch
        self.number = number
        self.is_filled = False

    @property
    def pixels(self) -> Pixels:
        """The pixels: uint8 of shape (height, width, 3), a view."""
        pixels: Pixels = self._batch[self.number]
        return pixels

    def fill(self, pixels: Pixels) -> None:
        """Put pixels here."""
        self._batch[self.number] = pixels
        self.is_filled = True

    def move(self, number: int) -> None:
        """Take the pixels to another place, where nothing is that counts."""
        if number != self.number:
            self._batch[number] = self.pixels
            self.number = number

    def is_followed_by(self, other: Any) -> bool:
        """Return whether another item is in the place right behind this one."""
        return (
            isinstance(other, Slot)
            and other._batch is self._batch  # noqa: SLF001 - of this class
            and other.number == self.number + 1
        )

    def upto(self, last: "Slot") -> Pixels:
        """Return the pixels from here to `last`, shape (images, height, width, 3), a view."""
        return self._batch[self.number : last.number + 1]

    def __array__(self, dtype: Any = None, copy: Any = None) -> Pixels:
        return np.array(self.pixels, dtype, copy=copy)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how to make it in another process: as an array, without its batch."""
        return np.array, (self.pixels,)


MakeSlots = Callable[[int], Sequence[Slot | None]]
"""Returns a place for each of so many rows, or None for each."""


def slots_for(prepare: Callable[..., Any], *, pinned: bool = False) -> MakeSlots:
    """Return what makes the places for what `prepare` prepares: none, if that is not pixels."""
    if not isinstance(prepare, PixelPreparation):
        return lambda count: [None] * count
    memory = _Memory(prepare.shape, pinned=pinned)

    def make(count: int) -> Sequence[Slot]:
        batch = memory.take(count)
        return [Slot(batch, number) for number in range(count)]

    return make


class _Memory:
    """Memory for batches of pixels."""

    def __init__(self, shape: tuple[int, int, int], *, pinned: bool) -> None:
        self._shape = shape
        self._pinned = pinned
        self._free: list[torch.Tensor] = []

    def take(self, count: int) -> Pixels:
        """Return room for so many images, theirs until no view of it is left."""
        whole = self._unused(count)
        batch: Pixels = whole[:count].numpy()
        finalize(batch, self._free.append, whole).atexit = False
        return batch

    def _unused(self, count: int) -> torch.Tensor:
        with suppress(IndexError):  # there is none left: other partitions take some, too
            while True:
                whole = self._free.pop()
                if len(whole) >= count:  # smaller ones are let go: batches have grown
                    return whole
        return torch.empty((count, *self._shape), dtype=torch.uint8, pin_memory=self._pinned)


def prepared(prepare: Callable[[Any], Any], cell: Any, slot: Slot | None) -> Any:
    """Return what is prepared of a cell: the slot, filled, if there is one.

    Raises:
        NotAnImageError: as `prepare` does.
        UnusableError: as `prepare` does.
    """
    made = prepare(cell)
    if slot is None:
        return made
    slot.fill(made)
    return slot


def close_ranks(slots: Sequence[Slot | None]) -> None:
    """Have the pixels in some slots of a batch, in order, fill its memory from the start on."""
    filled = [slot for slot in slots if slot is not None and slot.is_filled]
    for number, slot in enumerate(filled):
        slot.move(number)


def stacked(items: Sequence[Any]) -> torch.Tensor:
    """Return the pixels of prepared images, uint8 (images, height, width, 3).

    Those of slots side by side are not copied.
    """
    first, last = items[0], items[-1]
    if isinstance(first, Slot) and all(one.is_followed_by(two) for one, two in pairwise(items)):
        return torch.from_numpy(first.upto(last))
    return torch.from_numpy(np.stack(items))
