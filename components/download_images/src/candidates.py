"""Which rows to fetch: per seed, as many as it still needs images, in row order.

If a row gives no image, the next one of its seed is fetched instead, until the seed has as many
images as requested, or no rows are left. So the images of a seed are always those of its first rows
that give one, whichever arrives first.
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
    """The rows of one partition that wait to be fetched, by seed. Not thread-safe.

    `images_per_seed` takes precedence over the number in the rows. `earlier` are rows that gave an
    image in an earlier attempt. Rows without a seed, or without a requested number, need not wait.
    """

    def __init__(self, images_per_seed: int | None = None, earlier: Iterable[UrlRow] = ()) -> None:
        self._images_per_seed = images_per_seed
        self._seeds: dict[str | None, _Seed] = {None: _Seed(_ALL)}
        for row in earlier:
            self._seed(row).images += 1

    def add(self, row: UrlRow) -> None:
        """Queue a row."""
        self._seed(row).waiting.append(row)

    def settle(self, row: UrlRow, *, image: bool) -> None:
        """Record whether a due row gave an image."""
        seed = self._seed(row)
        seed.under_way -= 1
        seed.images += image

    def due(self, row: UrlRow) -> Iterator[UrlRow]:
        """Yield the rows to fetch now, of the same seed as a row."""
        seed = self._seed(row)
        while seed.waiting and seed.under_way < seed.missing:
            seed.under_way += 1
            yield seed.waiting.popleft()

    def not_needed(self, row: UrlRow) -> Iterator[UrlRow]:
        """Yield the rows that are no longer needed, of the same seed as a row."""
        seed = self._seed(row)
        while seed.waiting and not seed.missing:
            yield seed.waiting.popleft()

    def missing(self) -> list[int]:
        """Return how many images are missing, for each seed with a requested number."""
        return [seed.missing for seed in self._seeds.values() if seed.wanted != _ALL]

    def _seed(self, row: UrlRow) -> _Seed:
        wanted = row.images_wanted if self._images_per_seed is None else self._images_per_seed
        if wanted is None or row.seed_id is None:
            return self._seeds[None]
        return self._seeds.setdefault(row.seed_id, _Seed(wanted))
