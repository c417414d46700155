"""Find all pairs of 64-bit perceptual hashes that differ in few bits, without comparing all pairs.

Hashes that differ in at most `most_bits` bits agree in at least k of `most_bits` + k blocks of
bits, wherever the differences are. So for each choice of k blocks, hashes that agree in them are
brought together by sorting, and compared: no pair is missed. The idea is from Manku, Jain and Das
Sarma, "Detecting Near-Duplicates for Web Crawling" (WWW 2007).
"""

from collections.abc import Iterator
from itertools import combinations, pairwise
from math import comb
from typing import Final

import numpy as np
import numpy.typing as npt

from image_toolkit.copies.likeness import NO_KEY, IntArray, Likeness

BITS: Final = 64

_PAIRS_AT_ONCE: Final = 1 << 22
_FEWEST_SET: Final = 8
"""With fewer bits set (or unset), the picture has no contrast, and noise decides its hash."""

_SORT_COST: Final = 100.0
"""The cost of sorting one hash, in comparisons of two."""


def near_hashes(
    hashes: npt.NDArray[np.uint64], known: npt.NDArray[np.bool_], most_bits: int
) -> Likeness:
    """Return the likeness of rows with hashes that differ in at most `most_bits` bits.

    A row may have several hashes, any of which may be near to any of another row's: shape (rows,
    n). `known` says which exist. Hashes of pictures without contrast are ignored: they are all
    about the same.
    """
    telling = known & shows_contrast(hashes)
    for column in range(1, hashes.shape[1]):  # repeated hashes of a row count once
        again = (hashes[:, :column] == hashes[:, column, None]) & telling[:, :column]
        telling[:, column] &= ~again.any(axis=1)
    distinct, inverse = np.unique(hashes[telling], return_inverse=True)
    keys = np.full(hashes.shape, NO_KEY, np.int64)
    keys[telling] = inverse
    return Likeness(keys, near_pairs(distinct, most_bits))


def shows_contrast(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Return which hashes are from pictures with enough contrast to be distinctive."""
    bits = np.bitwise_count(hashes)
    enough: npt.NDArray[np.bool_] = (bits >= _FEWEST_SET) & (bits <= BITS - _FEWEST_SET)
    return enough


def near_pairs(hashes: npt.NDArray[np.uint64], most_bits: int) -> IntArray:
    """Return the pairs of distinct hashes within `most_bits` bits: indices, shape (n, 2)."""
    found: list[IntArray] = [np.empty(0, np.int64)]
    for mask in _masks(len(hashes), most_bits) if most_bits else ():
        masked = hashes & mask
        order = np.argsort(masked, kind="stable")
        for left, right in _pairs_in_runs(masked[order]):
            one, other = order[left], order[right]
            near = np.bitwise_count(hashes[one] ^ hashes[other]) <= most_bits
            one, other = one[near], other[near]
            found.append(np.minimum(one, other) * len(hashes) + np.maximum(one, other))
    pairs = np.unique(np.concatenate(found))
    return np.stack(np.divmod(pairs, max(len(hashes), 1)), axis=1)


def _masks(count: int, most_bits: int) -> Iterator[np.uint64]:
    """Yield a bit mask for each choice of blocks that must agree, at the lowest total cost."""

    def cost(agreeing: int) -> float:
        blocks = most_bits + agreeing
        same = 2.0 ** -(agreeing * BITS / blocks)
        return float(comb(blocks, agreeing) * (_SORT_COST + count * same / 2))

    agreeing = min(range(1, 5), key=cost)
    edges = np.linspace(0, BITS, most_bits + agreeing + 1).astype(int)
    blocks = [sum(1 << bit for bit in range(start, end)) for start, end in pairwise(edges.tolist())]
    for chosen in combinations(blocks, agreeing):
        yield np.uint64(sum(chosen))


def _pairs_in_runs(
    ordered: npt.NDArray[np.uint64],
) -> Iterator[tuple[IntArray, IntArray]]:
    """Yield the indices of all pairs of equal values in a sorted array, in chunks."""
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    lengths = np.diff(np.r_[starts, len(ordered)])
    # The value at an index is paired with each one after it in its run.
    partners = np.repeat(starts + lengths, lengths) - np.arange(len(ordered)) - 1
    ends = np.cumsum(partners)
    first = 0
    while first < len(ordered):
        done = ends[first - 1] if first else 0
        last = max(int(np.searchsorted(ends, done + _PAIRS_AT_ONCE)), first + 1)
        count = partners[first:last]
        left = np.repeat(np.arange(first, min(last, len(ordered))), count)
        before = np.repeat(np.cumsum(count) - count, count)
        yield left, left + 1 + np.arange(len(left)) - before
        first = last
