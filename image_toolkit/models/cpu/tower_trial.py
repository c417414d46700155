"""How many tokens an image tower computes fastest at once on this CPU, by trying its own layers.

Few enough stay in the cache of a core, and enough keep its matrix unit busy. The best number
differs between CPUs: a Zen 5 is as fast with 400 as with 1,600, while a Xeon with AMX multiplies,
on the way back from the wide layer, at a third of its rate with 800 and at three quarters with 400.
The results are the same except for rounding, as with another number of threads.

A trial takes one thread, whose CPU time hardly depends on what else is running, and a fraction of a
second; if a core does no more than 70 GFLOP/s, nearly one.
"""

import logging
import time
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final

import torch
from torch import nn

from image_toolkit.models.cpu.packed_layers import PackedLinear
from image_toolkit.models.cpu.quantised_layers import QuantisedLinear

logger = logging.getLogger(__name__)

USUAL: Final = 800
"""Tokens per core."""

_SIZES: Final = (USUAL, 400)
_BETTER: Final = 0.97
"""An alternative must take at most this share of the usual way's time to be chosen."""

_TRIES: Final = 3
_FEWEST_WEIGHTS: Final = 1_000_000
"""A tower with fewer weights is not worth a trial."""

_MOST_BYTES: Final = 32_000_000
"""More than caches hold, so that weights are read from memory as in a whole tower."""

Layer = PackedLinear | QuantisedLinear


def best_piece(tower: nn.Module) -> int:
    """Return how many tokens per core an image tower should process at once.

    Args:
        tower: with its final layers; one with few of the layers made for CPUs gets the usual
            number.
    """
    layers = _first(tower.modules())
    if sum(map(_weights, layers)) < _FEWEST_WEIGHTS:
        return USUAL
    taken = {size: _seconds_a_token(layers, size) for size in _SIZES}
    best = min(taken, key=taken.__getitem__)
    chosen = best if taken[best] <= _BETTER * taken[USUAL] else USUAL
    told = ", ".join(f"{size}: {1e6 * seconds:.1f} µs each" for size, seconds in taken.items())
    logger.info("%d tokens a core go through an image tower at once, by trial (%s).", chosen, told)
    return chosen


def _first(modules: Iterable[nn.Module]) -> list[Layer]:
    """Return the first layers that are made for CPUs, as many as a trial needs."""
    layers = [module for module in modules if isinstance(module, PackedLinear | QuantisedLinear)]
    before = accumulate((layer.weight_bytes for layer in layers), initial=0)
    return [layer for layer, sum_ in zip(layers, before, strict=False) if sum_ < _MOST_BYTES]


def _weights(layer: Layer) -> int:
    weights: int = layer.in_features * layer.out_features
    return weights


def _seconds_a_token(layers: Sequence[Layer], size: int) -> float:
    """Return the CPU time per token in some layers, with so many tokens at once."""
    values = [torch.ones(size, layer.in_features).to(layer.weight.dtype) for layer in layers]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            return min(_seconds(layers, values) for _ in range(_TRIES)) / size
    finally:
        torch.set_num_threads(threads)


def _seconds(layers: Sequence[Layer], values: Sequence[torch.Tensor]) -> float:
    start = time.thread_time()
    for layer, given in zip(layers, values, strict=True):
        layer(given)
    return time.thread_time() - start
