"""The rows that an index is built from: read in stretches, and yielded in equal portions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from fondant_spec.errors import InvalidArgumentError
from image_toolkit.retrieval.search.hits import FloatArray
from image_toolkit.retrieval.search.model_identity import ModelIdentity

Portion: TypeAlias = "tuple[FloatArray, pa.Table]"
"""Vectors, shape (n, dimension), and the metadata of the same n rows.

A missing vector is all NaN.
"""


@dataclass(frozen=True)
class Stretch:
    """A number of rows that are read together, and can be skipped together."""

    rows: int
    read: Callable[[], Iterator[Portion]]


def _nothing() -> None:
    """Release nothing."""


@dataclass(frozen=True)
class VectorSource:
    """Rows to build an index from, always in the same order.

    `identity` changes whenever the rows do, be it their vectors or their metadata. `model` made the
    vectors, if known. `close` releases what was needed to read them. `which_part` is its part of a
    larger source, such as `3/20`.
    """

    stretches: Sequence[Stretch]
    identity: str
    dimension: int
    model: ModelIdentity | None = None
    close: Callable[[], None] = _nothing
    which_part: str | None = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return sum(stretch.rows for stretch in self.stretches)

    def part(self, number: int, parts: int) -> "VectorSource":
        """Return one of several parts of about equal size, from 1 on; stretches are not split.

        Raises:
            InvalidArgumentError: the part is empty.
        """
        ends = np.cumsum([stretch.rows for stretch in self.stretches])
        part_of = np.ceil(parts * ends / len(self)).astype(int) if len(self) else ends
        chosen = [s for s, of in zip(self.stretches, part_of, strict=True) if of == number]
        if not chosen:
            msg = f"--part {number}/{parts}: nothing of the source is in it. Take fewer parts."
            raise InvalidArgumentError(msg)
        which = f"{number}/{parts}"
        identity = f"{self.identity}, {which}"
        return replace(self, stretches=chosen, identity=identity, which_part=which)

    def portions(self, size: int, start: int = 0) -> Iterator[Portion]:
        """Yield `size` rows at a time, fewer the last time, from row `start` on."""
        held: list[Portion] = []
        count = 0
        for vectors, table in self._from(start):
            held.append((vectors, table))
            count += len(vectors)
            while count >= size:
                whole_vectors, whole_table = _join(held)
                yield whole_vectors[:size], whole_table.slice(0, size)
                held = [(whole_vectors[size:], whole_table.slice(size))]
                count -= size
        if count:
            yield _join(held)

    def _from(self, start: int) -> Iterator[Portion]:
        for stretch in self.stretches:
            if start >= stretch.rows:
                start -= stretch.rows
                continue
            for vectors, table in stretch.read():
                skipped = min(start, len(vectors))
                start -= skipped
                yield vectors[skipped:], table.slice(skipped)


def _join(parts: Sequence[Portion]) -> Portion:
    vectors = np.concatenate([vectors for vectors, _ in parts])
    tables = [table for _, table in parts]
    return vectors, pa.concat_tables(tables, promote_options="permissive")
