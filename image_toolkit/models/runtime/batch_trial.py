"""Find by trial the batch size at which a model on a GPU is fastest, once, before the first row.

Sizes double as long as memory permits, until batches take so long that their fixed cost is
negligible. The trial uses a few images over and over: no row waits for it, and the size does not
depend on which rows arrive when.
"""

import logging
import time
from collections.abc import Callable
from typing import Final

import torch

from image_toolkit.models.runtime.device import Placement
from image_toolkit.models.runtime.fitting import memory_of
from image_toolkit.models.runtime.out_of_memory import is_out_of_memory

logger = logging.getLogger(__name__)

_SMALLEST: Final = 32
_LARGEST: Final = 1024
_AS_FAST: Final = 0.98
"""Of the sizes whose rate is at least this share of the best, the smallest is chosen."""

_LAUNCHED: Final = 0.05
"""Seconds a batch should take at least: in a step, the thread that launches it may be delayed."""

_SPARE: Final = 0.8
"""The share of free memory that may be used: images and captions vary in size."""


def best_batch_size(
    ready: Callable[[int], Callable[[], object]], placement: Placement, *, longest: float = 0.25
) -> int:
    """Return the smallest batch size at which a model is about as fast as it gets.

    Args:
        ready: prepares a batch of so many items; returns a function that runs the model on it and
            waits for the result.
        placement: where the model runs: a GPU.
        longest: the most seconds per batch, since rows come out in batches.
    """
    rates: dict[int, float] = {}
    size = _SMALLEST
    while size <= _LARGEST:
        seconds = _seconds(ready, size, placement)
        if seconds is None or (rates and seconds > longest):
            break
        rates[size] = size / seconds
        if not _twice_fits(placement):
            break
        size *= 2
    if not rates:
        return max(1, _SMALLEST // 2)  # halved further if it does not fit
    fast = [size for size, rate in rates.items() if rate >= _AS_FAST * max(rates.values())]
    best = next((size for size in fast if size / rates[size] >= _LAUNCHED), fast[-1])
    told = ", ".join(f"{size}: {rate:,.0f}/s" for size, rate in rates.items())
    logger.info("Batches of %d on %s, by trial (%s).", best, placement.device, told)
    return best


def _seconds(
    ready: Callable[[int], Callable[[], object]], size: int, placement: Placement
) -> float | None:
    """Return the seconds that a batch takes; None if it does not fit."""
    try:
        run = ready(size)
        run()  # the first run of a size selects its kernels
        torch.cuda.reset_peak_memory_stats(placement.device)
        start = time.perf_counter()
        run()
        return time.perf_counter() - start
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    torch.cuda.empty_cache()
    return None


def _twice_fits(placement: Placement) -> bool:
    """Return whether a batch of twice the size would fit, judged by the memory of this one."""
    kept = torch.cuda.memory_allocated(placement.device)
    taken = torch.cuda.max_memory_allocated(placement.device) - kept
    free, _ = memory_of(placement.device)
    return bool(2 * taken < _SPARE * free)
