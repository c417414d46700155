"""The schedule of images: a shuffled order per epoch, in batches of one image size."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from training_set import Sample

_ORDER: Final = 1
"""Distinguishes the random stream of an epoch's order from that of an example."""


class Place(NamedTuple):
    """The position of a sample, given by its number, in a step."""

    sample: int
    position: int


Batches = list[list[Place]]


class EpochPlan:
    """The steps of all epochs. What a step sees depends only on the seed and its number.

    A step takes `accumulated` batches; the last of an epoch takes those that are left, and the last
    batch of a size the images that are left, so that an epoch has each image exactly as often as
    requested.
    """

    def __init__(
        self, samples: Sequence[Sample], *, batch_size: int, accumulated: int, seed: int
    ) -> None:
        self._samples = samples
        self._batch_size = batch_size
        self._accumulated = accumulated
        self._seed = seed
        self._order = lru_cache(maxsize=2)(self._drawn_order)
        self.steps_per_epoch = -(-len(self._order(0)) // accumulated)

    def epoch_of(self, step: int) -> int:
        """Return the epoch of a step, both counted from 0."""
        return step // self.steps_per_epoch

    def batches(self, step: int) -> Batches:
        """Return the batches of a step, counted from 0, each with images of one size."""
        epoch, number = divmod(step, self.steps_per_epoch)
        first = number * self._accumulated
        positions = iter(range(self._accumulated * self._batch_size))
        return [
            [Place(sample, next(positions)) for sample in batch]
            for batch in self._order(epoch)[first : first + self._accumulated]
        ]

    def _drawn_order(self, epoch: int) -> list[list[int]]:
        draw = np.random.default_rng([self._seed, _ORDER, epoch])
        looks = [n for n, one in enumerate(self._samples) for _ in range(one.repeats)]
        by_size: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        for number in draw.permutation(looks).tolist():
            by_size[self._samples[number].frame.window].append(number)
        batches = [batch for size in sorted(by_size) for batch in self._cut(by_size[size])]
        return [batches[number] for number in draw.permutation(len(batches))]

    def _cut(self, numbers: list[int]) -> Iterator[list[int]]:
        for start in range(0, len(numbers), self._batch_size):
            yield numbers[start : start + self._batch_size]
