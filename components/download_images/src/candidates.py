"""Which rows are fetched at all: of each seed as many as its images lack, in the order of the rows.

Where a row gives no image, the next one of its seed is fetched in its place, until the seed has as
many images as are wanted, or no rows. So the images of a seed are those of its first rows that give
one, whichever comes in first.
"""

import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from pictures import UrlRow

_ALL: Final = sys.maxsize


@dataclass
class _Seed:
    wanted: int
    images: int = 0
    under_way: int = 0
    waiting: deque[UrlRow] = field(default_factory=deque)

    @property
    def missing(self) -> int:
        return max(0, self.wanted - self.images)


class Candidates:
    """The rows of one partition that wait to be fetched, by seed. For one thread.

    `images_per_seed` goes before what the rows say is wanted. `earlier` are rows that gave an image
    in an earlier attempt. Rows without a seed, or of which no number is wanted, need not wait.
    """

    def __init__(self, images_per_seed: int | None = None, earlier: Iterable[UrlRow] = ()) -> None:
        self._images_per_seed = images_per_seed
        self._seeds: dict[str | None, _Seed] = {None: _Seed(_ALL)}
        for row in earlier:
            self._seed(row).images += 1

    def add(self, row: UrlRow) -> None:
        """Have a row wait for its turn."""
        self._seed(row).waiting.append(row)

    def settle(self, row: UrlRow, *, image: bool) -> None:
        """Take note of whether a row that was due gave an image."""
        seed = self._seed(row)
        seed.under_way -= 1
        seed.images += image

    def due(self, row: UrlRow) -> Iterator[UrlRow]:
        """Yield the rows to fetch now, of the seed that a row belongs to."""
        seed = self._seed(row)
        while seed.waiting and seed.under_way < seed.missing:
            seed.under_way += 1
            yield seed.waiting.popleft()

    def not_needed(self, row: UrlRow) -> Iterator[UrlRow]:
        """Yield the rows that nobody needs any longer, of the seed that a row belongs to."""
        seed = self._seed(row)
        while seed.waiting and not seed.missing:
            yield seed.waiting.popleft()

    def missing(self) -> list[int]:
        """Return how many images each seed lacks of which a number is wanted."""
        return [seed.missing for seed in self._seeds.values() if seed.wanted != _ALL]

    def _seed(self, row: UrlRow) -> _Seed:
        wanted = row.images_wanted if self._images_per_seed is None else self._images_per_seed
        if wanted is None or row.seed_id is None:
            return self._seeds[None]
        return self._seeds.setdefault(row.seed_id, _Seed(wanted))
