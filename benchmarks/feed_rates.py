"""Images a second: the feed's, in threads and in processes, and those of Pillow's way."""

import multiprocessing
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from unittest import mock

import numpy as np
import torch
from PIL import Image

from fondant_spec.cpu import cpu_count
from fondant_spec.dataset.rejects import Rejects
from image_toolkit.models.runtime import resizing
from image_toolkit.models.runtime.feed import Feed, prepared
from image_toolkit.models.runtime.feed_rows import FeedRow
from image_toolkit.models.runtime.preparation import PixelPreparation
from image_toolkit.models.runtime.slots import stacked

BATCH, AHEAD = 64, 2
SIDES = (224, 384)


def preparation(side: int) -> PixelPreparation:
    """Return how CLIP (224) or BLIP (384) wants its images."""
    size, crop = (side, (side, side)) if side == 224 else ((side, side), None)  # noqa: PLR2004
    half = (0.5, 0.5, 0.5)
    return PixelPreparation(size, crop, Image.Resampling.BICUBIC, 1 / 255, half, half)


@contextmanager
def pillow() -> Iterator[None]:
    """Have images resized by Pillow meanwhile."""
    with mock.patch.object(resizing, "_VECTORISED", ()):
        yield


def ours(prepare: PixelPreparation, cells: Sequence[bytes]) -> None:
    """Have images prepared by the feed, as a GPU's."""
    feed = Feed(
        lambda row, slot: prepared(prepare, row, slot),
        lambda: BATCH,
        ahead=AHEAD,
        into=[prepare],
        pinned=torch.cuda.is_available(),
    )
    rows = (FeedRow(str(number), cell) for number, cell in enumerate(cells))
    count = sum(len(stacked(group.items)) for group in feed.groups(rows, Rejects()))
    feed.close()
    assert count == len(cells)


def old(prepare: PixelPreparation, cells: Sequence[bytes]) -> None:
    """Have images prepared as before: Pillow's resize, a future for each, and a copy of all."""
    left, pending, count = iter(cells), deque[list[Future[np.ndarray]]](), 0
    with pillow(), ThreadPoolExecutor(cpu_count()) as pool:
        while True:
            some = [pool.submit(prepare, cell) for cell in islice(left, BATCH)]
            pending.append(some)
            if len(pending) > AHEAD or not some:
                done = pending.popleft()
                if not done:
                    break
                count += len(torch.from_numpy(np.stack([one.result() for one in done])))
    assert count == len(cells)


def by_processes(prepare: PixelPreparation, cells: Sequence[bytes]) -> float:
    """Return images a second of as many processes as cores, which hand nothing on.

    That is what the machine can do: they wait for no lock of Python's.
    """
    with multiprocessing.get_context("fork").Pool(cpu_count()) as pool:
        parts = [(prepare, cells[number :: cpu_count()]) for number in range(cpu_count())]
        pool.starmap(drop, [(prepare, part[:2]) for _, part in parts], 1)
        start = time.perf_counter()
        pool.starmap(drop, parts, 1)
        return len(cells) / (time.perf_counter() - start)


def drop(prepare: PixelPreparation, cells: Sequence[bytes]) -> None:
    """Prepare images, and let go of them."""
    for cell in cells:
        prepare(cell)


WAYS = {"ours": ours, "old": old}


def rates(cells: Sequence[bytes], rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Return images a second by way, threads and side: each the best of some rounds."""
    best: dict[str, dict[str, dict[str, float]]] = {
        way: {"one_thread": {}, "all_threads": {}} for way in WAYS
    }
    for _ in range(rounds):
        for side in SIDES:
            for way, work in WAYS.items():
                for name, threads in (("one_thread", 1), ("all_threads", cpu_count())):
                    with mock.patch.dict(os.environ, LOKY_MAX_CPU_COUNT=str(threads)):
                        start = time.perf_counter()
                        work(preparation(side), cells)
                        rate = len(cells) / (time.perf_counter() - start)
                    found = best[way][name]
                    found[str(side)] = max(found.get(str(side), 0.0), rate)
            found = best["ours"].setdefault("processes", {})
            rate = by_processes(preparation(side), cells)
            found[str(side)] = max(found.get(str(side), 0.0), rate)
    return best
