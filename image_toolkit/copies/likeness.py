"""A way for rows to be alike: each row has one or more keys, and keys have neighbours.

Rows with the same key are alike, and so are rows with neighbouring keys. So a thousand copies of a
file are a thousand rows with one key, rather than half a million pairs.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

NO_KEY: Final = -1


@dataclass(frozen=True)
class Likeness:
    """Which rows are alike in one respect.

    Attributes:
        keys: the distinct keys of each row, shape (rows, n), numbered from 0; `NO_KEY` if it has
            fewer. A row without keys is like no other.
        pairs: the neighbouring keys, shape (n, 2), each pair once, the smaller key first.
    """

    keys: IntArray
    pairs: IntArray

    @property
    def key_count(self) -> int:
        """The number of keys."""
        return int(self.keys.max(initial=NO_KEY)) + 1

    @property
    def linked(self) -> BoolArray:
        """Which rows are like at least one other."""
        many = np.bincount(self.keys[self.keys != NO_KEY], minlength=self.key_count) > 1
        many[self.pairs.ravel()] = True
        linked = np.zeros(self.keys.shape, np.bool_)
        known = self.keys != NO_KEY
        linked[known] = many[self.keys[known]]
        return np.asarray(linked.any(axis=1))

    def like(self, row: int) -> IntArray:
        """Return the rows that are like a row, including itself; none if it has no key."""
        starts, others = self._neighbours
        found = [np.empty(0, np.int64)]
        for key in self.keys[row][self.keys[row] != NO_KEY].tolist():
            near = others[starts[key] : starts[key + 1]].tolist()
            found += [self._members(one) for one in (key, *near)]
        return np.concatenate(found)

    def _members(self, key: int) -> IntArray:
        starts, rows = self._rows_by_key
        return rows[starts[key] : starts[key + 1]]

    @cached_property
    def _rows_by_key(self) -> tuple[IntArray, IntArray]:
        keys = self.keys.ravel()
        order = np.argsort(keys, kind="stable")
        order = order[np.count_nonzero(keys == NO_KEY) :]
        return _starts(keys[order], self.key_count), order // self.keys.shape[1]

    @cached_property
    def _neighbours(self) -> tuple[IntArray, IntArray]:
        both = np.concatenate([self.pairs, self.pairs[:, ::-1]])
        both = both[np.lexsort((both[:, 1], both[:, 0]))]
        return _starts(both[:, 0], self.key_count), both[:, 1]


def equal_values(values: pa.ChunkedArray) -> Likeness:
    """Return the likeness of rows with equal values; a null is like no other row."""
    encoded = values.combine_chunks().dictionary_encode()
    keys = pc.fill_null(encoded.indices.cast(pa.int64()), NO_KEY)
    return Likeness(keys.to_numpy(zero_copy_only=False)[:, None], no_pairs())


def no_pairs() -> IntArray:
    """Return an empty array of pairs."""
    return np.empty((0, 2), np.int64)


def _starts(ordered: IntArray, count: int) -> IntArray:
    """Return where each of `count` values begins in a sorted array, and the end."""
    return np.searchsorted(ordered, np.arange(count + 1)).astype(np.int64)
