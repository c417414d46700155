"""Rows that must lie on one side of a split: of one group, or with the same image.

They are linked through others, too: where an image is in a group in one row, and in none in
another, the second belongs to the group as well.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from image_toolkit.training.splits import TRAIN, VALIDATION, group_of

Link = bytes
"""What rows are linked by: a group's or an image's hash; groups come before images."""

_SIDES: Final = {TRAIN: 1, VALIDATION: 2}
_BOTH: Final = 3


class LinkedRows:
    """Takes rows, in some 300 bytes for each that has a group."""

    def __init__(self) -> None:
        self._above: dict[Link, Link] = {}

    def add(self, row: Mapping[str, Any]) -> Link | None:
        """Take a row, and return what it is linked by; None if there is nothing."""
        group, image = group_of(row), row["image"]
        by_group = None if group is None else _link(b"\0", group.encode())
        by_image = _link(b"\1", image) if image else None
        if by_group and by_image:
            low, high = sorted((self.root(by_group), self.root(by_image)))
            if low != high:
                self._above[high] = low
        return by_group or by_image

    def root(self, link: Link) -> Link:
        """Return the one link that stands for all that are linked: the same in any order."""
        root = link
        while root in self._above:
            root = self._above[root]
        while link != root:  # so that the way is short the next time
            self._above[link], link = root, self._above[link]
        return root


class SplitSides:
    """Notes on which sides of a split linked rows are."""

    def __init__(self) -> None:
        self._rows = LinkedRows()
        self._sides: dict[Link, int] = {}

    def add(self, row: Mapping[str, Any], split: str) -> None:
        """Take a row and its split; images of the class are on neither side."""
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
    """Return what to say of sets of linked rows that are on both sides."""
    return (
        "Groups of images that are the same, or all but the same, with some to train on and some "
        f"held out: {torn:,}. Somebody has chosen so for some of them, or an image has a group in "
        "one row alone; split_rows keeps together what nobody has torn."
    )


def drawn_share(link: Link) -> float:
    """Return where a link falls between 0 and 1: as `splits.drawn_split` draws its name."""
    return int.from_bytes(link[-8:], "little") / 2**64


def _link(kind: bytes, name: bytes) -> Link:
    """Return a link, turned round: the least of several must not be drawn the lowest."""
    return kind + hashlib.sha256(name).digest()[::-1]
