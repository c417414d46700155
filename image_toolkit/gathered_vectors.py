"""The vectors of all rows of a dataset, normalised, and which rows have invalid ones."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fondant_spec.dataset.manifest import Field

WRONG_DIMENSION: Final = "wrong_dimension"
BAD_EMBEDDING: Final = "bad_embedding"

Bad = Mapping[int, tuple[str, str]]
"""Invalid values by row number: a reason, and a message."""

_Rows = npt.NDArray[np.int64]


def dimension_of(field: Field) -> int | None:
    """Return the dimension that a field declares for its vectors; None if it declares none."""
    if pa.types.is_fixed_size_list(field.type):
        return int(field.type.list_size)
    said = field.metadata.get("dimension")
    return said if isinstance(said, int) and said > 0 else None


class GatheredVectors:
    """Collects the vectors of a column, batch by batch; null is no vector, but not an error.

    If `dimension` is unknown, it is the most frequent one (the largest, in a tie): which rows are
    invalid must not depend on which come first.
    """

    def __init__(self, dimension: int | None, dtype: type[np.floating[Any]]) -> None:
        self._dimension = dimension
        self._dtype = dtype
        self._lengths = [np.empty(0, np.int64)]
        self._rows = 0
        self._unsound: dict[int, list[_Rows]] = {}
        self._held: dict[int, list[tuple[_Rows, npt.NDArray[Any]]]] = {}

    def add(self, values: pa.Array) -> None:
        """Add the vectors of a batch."""
        lengths = pc.fill_null(pc.list_value_length(values), -1).to_numpy(zero_copy_only=False)
        for length in np.unique(lengths).tolist():
            places = np.flatnonzero(lengths == length)
            rows = places + self._rows
            if length == self._dimension or (length > 0 and self._dimension is None):
                self._hold(length, rows, values.take(pa.array(places)))
        self._lengths.append(lengths.astype(np.int64))
        self._rows += len(values)

    def joined(self) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_], Bad]:
        """Return the vectors of all rows, which rows have one, and which have an invalid one.

        To be called only once: it releases what was held.
        """
        lengths = np.concatenate(self._lengths)
        dimension = self._dimension or _usual(lengths)
        bad = {
            row: (WRONG_DIMENSION, f"{lengths[row]} dimensions instead of {dimension}")
            for row in np.flatnonzero((lengths >= 0) & (lengths != dimension)).tolist()
        }
        for rows in self._unsound.get(dimension, []):
            bad |= dict.fromkeys(rows.tolist(), (BAD_EMBEDDING, "not finite, or all zeros"))
        vectors = np.zeros((self._rows, max(dimension, 1)), self._dtype)
        known = np.zeros(self._rows, np.bool_)
        parts = self._held.pop(dimension, [])
        self._held.clear()
        while parts:  # so that no vector is in memory twice for long
            rows, part = parts.pop()
            vectors[rows], known[rows] = part, True
        return vectors, known, dict(sorted(bad.items()))

    def _hold(self, length: int, rows: _Rows, values: pa.Array) -> None:
        flat = values.flatten().cast(pa.float32()).to_numpy(zero_copy_only=False)
        vectors = flat.reshape(-1, length)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        sound = np.isfinite(norms[:, 0]) & (norms[:, 0] > 0)
        held = (vectors[sound] / norms[sound]).astype(self._dtype)
        self._held.setdefault(length, []).append((rows[sound], held))
        self._unsound.setdefault(length, []).append(rows[~sound])


def _usual(lengths: _Rows) -> int:
    """Return the most frequent length; 0 if there is none."""
    found, counts = np.unique(lengths[lengths > 0], return_counts=True)
    return max(zip(counts.tolist(), found.tolist(), strict=True), default=(0, 0))[1]
