"""All images after reading: their vectors, by set, in id order."""

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
    """Images of one kind, in order of row ids, and their vectors, of length 1.

    `source` is the field that holds them.
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
        """Return the images at some positions."""
        return ImageSet(self.source, [self.ids[n] for n in places], self.vectors[list(places)])

    def some(self, most: int, seed: int) -> "ImageSet":
        """Return all images, or a random sample of `most` in their order."""
        if len(self) <= most:
            return self
        drawn = np.random.default_rng(seed).choice(len(self), most, replace=False)
        return self.at(np.sort(drawn))


@dataclass(frozen=True)
class Crop:
    """An object found in an image: the image's row, its class, its vector, and its own name."""

    row_id: str
    label: str
    vector: Vectors
    name: str


@dataclass(frozen=True)
class Row:
    """The other values of a row."""

    caption: str | None = None
    split: str | None = None
    asked: str | None = None


@dataclass(frozen=True)
class Gathered:
    """All images that are compared.

    Attributes:
        training: Originals that were trained on.
        held_out: Originals that were not.
        base: Images of the base model, in the order of `tuned`.
        tuned: Images of the tuned model; those at the same position are a pair.
        rows: The other values of the rows, by id.
        crops: Objects that a detector found, by image field, if one is configured.
        lone: The number of rows with an image of only one of the models.
    """

    training: ImageSet
    held_out: ImageSet
    base: ImageSet
    tuned: ImageSet
    rows: Mapping[str, Row]
    crops: Mapping[str, Sequence[Crop]] | None
    lone: int


def name_of(source: str, row_id: str, number: int | None = None) -> str:
    """Return the name of an image, or of the crop with that number in it."""
    return f"{source}/{row_id}" if number is None else f"{source}#{number}/{row_id}"
