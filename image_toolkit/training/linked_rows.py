"""Rows that must be on the same side of a split: in the same group, or with the same image.

Links are transitive: if an image has a group in one row and none in another, the second row belongs
to the group as well.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from image_toolkit.training.splits import TRAIN, VALIDATION, group_of

Link = bytes
"""What links rows: the hash of a group or an image; groups sort before images."""

_SIDES: Final = {TRAIN: 1, VALIDATION: 2}
_BOTH: Final = 3


class LinkedRows:
    """Collects rows, in some 300 bytes for each that has a group."""

    def __init__(self) -> None:
        self._above: dict[Link, Link] = {}

    def add(self, row: Mapping[str, Any]) -> Link | None:
        """Add a row, and return its link; None if it has none."""
        group, image = group_of(row), row["image"]
        by_group = None if group is None else _link(b"\0", group.encode())
        by_image = _link(b"\1", image) if image else None
        if by_group and by_image:
            low, high = sorted((self.root(by_group), self.root(by_image)))
            if low != high:
                self._above[high] = low
        return by_group or by_image

    def root(self, link: Link) -> Link:
        """Return the representative of all linked rows, which does not depend on their order."""
        root = link
        while root in self._above:
            root = self._above[root]
        while link != root:  # path compression
            self._above[link], link = root, self._above[link]
        return root


class SplitSides:
    """Records which sides of a split linked rows are on."""

    def __init__(self) -> None:
        self._rows = LinkedRows()
        self._sides: dict[Link, int] = {}

    def add(self, row: Mapping[str, Any], split: str) -> None:
        """Add a row and its split; images of the class are on neither side."""
        if split in _SIDES and (link := self._rows.add(row)):
            self._sides[link] = self._sides.get(link, 0) | _SIDES[split]

    def torn(self) -> int:
        """Return how many sets of linked rows are on both sides."""
        of_all: dict[Link, int] = {}
        for link, sides in self._sides.items():
            root = self._rows.root(link)
            of_all[root] = of_all.get(root, 0) | sides
        return sum(sides == _BOTH for sides in of_all.values())


def torn_told(torn: int) -> str:
    """Return the warning about sets of linked rows that are on both sides."""
    return (
        "Groups of images that are the same, or all but the same, with some to train on and some "
        f"held out: {torn:,}. Somebody has chosen so for some of them, or an image has a group in "
        "one row alone; split_rows keeps together what nobody has torn."
    )


def drawn_share(link: Link) -> float:
    """Return a number from 0 to 1 for a link, as drawn by `splits.drawn_split` for its name."""
    return int.from_bytes(link[-8:], "little") / 2**64


def _link(kind: bytes, name: bytes) -> Link:
    """Return a link, reversed: else the smallest of several would also be drawn the lowest."""
    return kind + hashlib.sha256(name).digest()[::-1]
