"""Find all pairs of vectors above a cosine: searched in few dimensions, verified in all.

Between unit vectors, cosine determines distance, and no projection onto orthogonal axes increases a
distance. So a range search along the axes with the most variance (PCA) misses nothing, at an eighth
of the cost, and each find is verified with the full vectors. Many vectors are searched by cells
(FAISS's inverted file), few exhaustively.
"""

from hashlib import blake2b
from typing import Any, Final

import faiss
import numpy as np
import numpy.typing as npt

from fondant_spec.cpu import cpu_count
from fondant_spec.errors import InvalidArgumentError
from image_toolkit.copies.likeness import NO_KEY, BoolArray, IntArray, Likeness, no_pairs

FloatArray = npt.NDArray[np.floating[Any]]

MOST_PAIRS: Final = 100_000_000
"""The limit on near pairs; more would not be copies, but the effect of a low threshold."""

_DIMENSIONS: Final = 64
_SEARCHED_WHOLE: Final = 50_000
_SAMPLE: Final = 20_000
_QUERIES: Final = 2048
_PROBED: Final = 8
_ROUNDING: Final = 2e-3
"""How much 16-bit vectors, and their projections, may overstate a distance."""


def near_vectors(vectors: FloatArray, known: BoolArray, least_cosine: float) -> Likeness:
    """Return the likeness of rows whose unit vectors have a cosine of at least `least_cosine`.

    `vectors` has shape (rows, dimension); rows that are not `known` are ignored.

    Raises:
        InvalidArgumentError: so many pairs are this near that they cannot be copies.
    """
    rows = np.flatnonzero(known)
    keys = np.full((len(vectors), 1), NO_KEY, np.int64)
    if not len(rows):
        return Likeness(keys, no_pairs())
    first, inverse = _distinct(vectors, rows)
    keys[rows, 0] = inverse
    return Likeness(keys, _near_pairs(vectors, rows[first], least_cosine))


def _distinct(vectors: FloatArray, rows: IntArray) -> tuple[IntArray, IntArray]:
    """Return the index in `rows` of each distinct vector, and the number of each row's vector."""
    numbers: dict[bytes, int] = {}
    first: list[int] = []
    inverse = np.empty(len(rows), np.int64)
    for place, row in enumerate(rows):
        digest = blake2b(vectors[row], digest_size=16).digest()
        number = numbers.setdefault(digest, len(numbers))
        inverse[place] = number
        if number == len(first):
            first.append(place)
    return np.array(first, np.int64), inverse


def _near_pairs(vectors: FloatArray, rows: IntArray, least_cosine: float) -> IntArray:
    """Return the near pairs among some rows, as indices into `rows`, shape (n, 2)."""
    projected = _projected(vectors, rows)
    index = _index(projected)
    radius = 2 * (1 - least_cosine) + _ROUNDING
    found = [no_pairs()]
    count = 0
    for start in range(0, len(rows), _QUERIES):
        limits, _, others = index.range_search(projected[start : start + _QUERIES], radius)
        ones = np.repeat(np.arange(start, start + len(limits) - 1), np.diff(limits.astype(int)))
        # A vector finds the other only in the cells that it searches, so both are queries.
        pairs = np.sort(np.stack([ones, others], axis=1)[ones != others], axis=1)
        found.append(pairs[_checked(vectors, rows, pairs, least_cosine)])
        count += len(found[-1])
        if count > 2 * MOST_PAIRS:
            msg = (
                f"more than {MOST_PAIRS:,} pairs of vectors have a cosine of {least_cosine} or "
                "more: these are not copies; set least_cosine higher."
            )
            raise InvalidArgumentError(msg)
    return np.unique(np.concatenate(found), axis=0)


def _checked(
    vectors: FloatArray, rows: IntArray, pairs: IntArray, least_cosine: float
) -> BoolArray:
    near = np.empty(len(pairs), np.bool_)
    for start in range(0, len(pairs), _QUERIES):
        some = rows[pairs[start : start + _QUERIES]]
        ones, others = (vectors[some[:, side]].astype(np.float32) for side in (0, 1))
        cosines = np.einsum("ij,ij->i", ones, others)
        near[start : start + _QUERIES] = cosines >= least_cosine - _ROUNDING / 4
    return near


def _projected(vectors: FloatArray, rows: IntArray) -> npt.NDArray[np.float32]:
    """Project vectors to the axes with the most variance in a sample, as float32."""
    dimension = vectors.shape[1]
    if dimension <= _DIMENSIONS or len(rows) <= dimension:
        return vectors[rows].astype(np.float32)
    axes = faiss.PCAMatrix(dimension, _DIMENSIONS)
    axes.train(vectors[_sample(rows, _SAMPLE)].astype(np.float32))
    projected = np.empty((len(rows), _DIMENSIONS), np.float32)
    for start in range(0, len(rows), _SAMPLE):
        part = vectors[rows[start : start + _SAMPLE]].astype(np.float32)
        projected[start : start + _SAMPLE] = axes.apply(part)
    return projected


def _index(vectors: npt.NDArray[np.float32]) -> Any:
    """Return an index for range searches by squared distance."""
    faiss.omp_set_num_threads(cpu_count())
    count, dimension = vectors.shape
    whole = faiss.IndexFlatL2(dimension)
    if count <= _SEARCHED_WHOLE:
        whole.add(vectors)
        return whole
    cells = int(4 * np.sqrt(count))
    index = faiss.IndexIVFFlat(whole, dimension, cells)
    index.cp.niter = 5
    index.train(vectors[_sample(np.arange(count), 40 * cells)])
    index.add(vectors)
    index.nprobe = _PROBED
    return index


def _sample(rows: IntArray, count: int) -> IntArray:
    """Return a sample of rows, the same each time."""
    if len(rows) <= count:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, count, replace=False))
