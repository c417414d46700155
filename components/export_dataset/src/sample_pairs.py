"""A few sample pairs: chosen by hashed names, so the same ones each time, in any order."""

import hashlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import quote

from masks import FOLDER as MASKS
from training_pairs import Pair

from image_toolkit.publishing.hashed_folder import HashedFolder
from image_toolkit.training.splits import TRAIN

_COUNT: Final = 6
_HEIGHT: Final = 160  # pixels on the page
_FOLDER: Final = ".samples"
"""The folder of samples for a layout that packs its images; readers of folders skip it."""


class Samples:
    """Keeps the training pairs whose names have the lowest hashes."""

    def __init__(self) -> None:
        self._kept: list[tuple[bytes, Pair]] = []

    def add(self, pair: Pair) -> None:
        """Add a pair, if it is one of the lowest so far."""
        drawn = hashlib.sha256(pair.stem.encode()).digest()
        if pair.split == TRAIN and (len(self._kept) < _COUNT or drawn < self._kept[-1][0]):
            kept = [*self._kept, (drawn, pair)]
            self._kept = sorted(kept, key=lambda one: one[0])[:_COUNT]

    def pictures(self, folder: HashedFolder) -> Iterator[str]:
        """Yield an HTML tag for each, which shows its file in the exported folder.

        If the layout has no image files, they are written beside it.
        """
        places: dict[str, str] = {}
        for name in folder.below_here():
            path = PurePosixPath(name)
            if MASKS not in path.parts:  # masks may have the names of their images
                places.setdefault(path.name, name)
        for _, pair in self._kept:
            name = pair.stem + pair.suffix
            if name not in places:
                places[name] = f"{_FOLDER}/{name}"
                folder.write(places[name], pair.image)
            yield f'<img src="{quote(places[name])}" height="{_HEIGHT}" alt="a sample">'
