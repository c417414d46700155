"""What is known of all images once each was looked at: their vectors, by set, in order of ids."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

ORIGINAL: Final = "image"
BASE: Final = "base_image"
TUNED: Final = "tuned_image"
SOURCES: Final = (ORIGINAL, BASE, TUNED)


@dataclass(frozen=True)
class ImageSet:
    """Images of one kind, in order of their rows' ids, and their vectors, of length 1.

    `source` is the field where they stand.
    """

    source: str
    ids: Sequence[str]
    vectors: Vectors

    def __len__(self) -> int:
        return len(self.ids)

    def name(self, place: int) -> str:
        """Return the name of one of the images."""
        return name_of(self.source, self.ids[place])

    def at(self, places: Sequence[int] | NDArray[np.int64]) -> "ImageSet":
        """Return the images at some places."""
        return ImageSet(self.source, [self.ids[n] for n in places], self.vectors[list(places)])

    def some(self, most: int, seed: int) -> "ImageSet":
        """Return all, or as many as are wanted, drawn by lot and in their order."""
        if len(self) <= most:
            return self
        drawn = np.random.default_rng(seed).choice(len(self), most, replace=False)
        return self.at(np.sort(drawn))


@dataclass(frozen=True)
class Crop:
    """What was found in an image: the image's row, its class, its vector, and its own name."""

    row_id: str
    label: str
    vector: Vectors
    name: str


@dataclass(frozen=True)
class Row:
    """What a row says beside its images."""

    caption: str | None = None
    split: str | None = None
    asked: str | None = None


@dataclass(frozen=True)
class Gathered:
    """All images that are compared.

    Attributes:
        training: Originals that were trained on.
        held_out: Originals that were not.
        base: What the base model made, in the order of `tuned`.
        tuned: What the tuned model made; those at one place are a pair.
        rows: What the rows say, by id.
        crops: What a detector found, by the images' field, where one was asked for.
        lone: How many rows have the image of one of the models only.
    """

    training: ImageSet
    held_out: ImageSet
    base: ImageSet
    tuned: ImageSet
    rows: Mapping[str, Row]
    crops: Mapping[str, Sequence[Crop]] | None
    lone: int


def name_of(source: str, row_id: str, number: int | None = None) -> str:
    """Return the name of an image, or of the crop of that number in it."""
    return f"{source}/{row_id}" if number is None else f"{source}#{number}/{row_id}"
