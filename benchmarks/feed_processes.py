"""The feed of a GPU: this process draws the groups, and others prepare them."""

import resource
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Final

import pyarrow as pa
import torch

from fondant_spec.cpu import cpu_count
from fondant_spec.dataset.rejects import Rejects
from image_toolkit.models.runtime.feed import Feed, prepared
from image_toolkit.models.runtime.feed_rows import rows_of
from image_toolkit.models.runtime.preparation import PixelPreparation
from image_toolkit.models.runtime.preparing_processes import LEAST_CORES, PreparingProcesses
from image_toolkit.models.runtime.slots import stacked

_BATCH: Final = 256
_AHEAD: Final = 2


class Pool:
    """Feeds groups that processes prepare; they have all prepared something before."""

    def __init__(self, prepare: PixelPreparation, cells: Sequence[bytes]) -> None:
        self.count = processes_here()
        self._feed = Feed(
            lambda row, slot: prepared(prepare, row, slot),
            lambda: _BATCH,
            ahead=_AHEAD,
            into=[prepare],
            pinned=torch.cuda.is_available(),
            processes=PreparingProcesses(self.count),
        )
        ids = pa.array([str(number) for number in range(len(cells))])
        self._rows = pa.record_batch([ids, pa.array(cells, pa.binary())], ["id", "image"])
        self._draw()

    def _draw(self) -> None:
        groups = self._feed.groups(rows_of(iter([self._rows]), "image"), Rejects())
        assert sum(len(stacked(group.items)) for group in groups) == len(self._rows)

    def measured(self) -> dict[str, float]:
        """Return the rate, and what an image costs this process."""
        used, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        self._draw()
        took, now = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
        spent = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
        switches = now.ru_nvcsw + now.ru_nivcsw - used.ru_nvcsw - used.ru_nivcsw
        return {
            "rate": len(self._rows) / took,
            "parent_us_per_image": 1e6 * spent / len(self._rows),
            "switches_per_image": switches / len(self._rows),
        }

    def close(self) -> None:
        """End them."""
        self._feed.close()


def processes_here() -> int:
    """Return how many processes a GPU's feed would have here; all cores, where that is none."""
    return cpu_count() - 1 if cpu_count() >= LEAST_CORES else cpu_count()


def fed_by_processes(
    prepare: PixelPreparation, cells: Sequence[bytes], rounds: int
) -> dict[str, float]:
    """Return the best of some rounds, by what was measured."""
    with closing(Pool(prepare, cells)) as pool:
        tries = [pool.measured() for _ in range(rounds)]
    return {
        name: best(one[name] for one in tries)
        for name, best in zip(tries[0], (max, min, min), strict=True)
    }
