"""The columns that images are compared by, held as compactly as possible."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fondant_spec.dataset.manifest import Field
from image_toolkit.copies.likeness import Likeness, equal_values
from image_toolkit.copies.near_hashes import BITS, near_hashes
from image_toolkit.copies.near_vectors import near_vectors
from image_toolkit.gathered_vectors import Bad, GatheredVectors, dimension_of


class Column(ABC):
    """The values of all rows; `unknown` is the number of rows without one."""

    def __init__(self) -> None:
        self.unknown = 0
        self._rows = 0
        self._bad: dict[int, tuple[str, str]] = {}

    def add(self, values: pa.Array) -> None:
        """Add the values of a batch."""
        self.unknown += values.null_count
        self._add(values)
        self._rows += len(values)

    def bad(self) -> Bad:
        """Return the values that cannot be compared."""
        return self._bad

    def _is_bad(self, place: int, message: str) -> None:
        """Record that a value of the current batch is malformed."""
        self._bad[self._rows + place] = ("bad_hash", message)

    @abstractmethod
    def _add(self, values: pa.Array) -> None: ...


class Digests(Column):
    """File hashes, compared for equality."""

    def __init__(self) -> None:
        super().__init__()
        self._values: list[pa.Array] = []

    def _add(self, values: pa.Array) -> None:
        self._values.append(pc.utf8_lower(values.cast(pa.string())))
        empty = np.flatnonzero(pc.fill_null(pc.equal(values, ""), False))  # noqa: FBT003 - Arrow's
        for place in empty.tolist():
            self._is_bad(place, "an empty text is no hash")

    def likeness(self) -> Likeness:
        """Return which rows are equal."""
        return equal_values(pa.chunked_array(self._values, pa.string()))


class PerceptualHashes(Column):
    """Perceptual hashes of 64 bits, in hexadecimal."""

    def __init__(self) -> None:
        super().__init__()
        self._values: list[int] = []
        self._known: list[bool] = []

    def _add(self, values: pa.Array) -> None:
        for place, text in enumerate(values.to_pylist()):
            value = None if text is None else _hash(text)
            if text is not None and value is None:
                digits = f"{BITS // 4} hexadecimal digits"
                self._is_bad(place, f"{text!r} is no hash of {BITS} bits, {digits}")
            self._values.append(value or 0)
            self._known.append(value is not None)

    @property
    def values(self) -> "np.ndarray[Any, np.dtype[np.uint64]]":
        """The hashes of all rows; 0 if there is none."""
        return np.array(self._values, np.uint64)

    @property
    def known(self) -> "np.ndarray[Any, np.dtype[np.bool_]]":
        """Which rows have a hash."""
        return np.array(self._known, np.bool_)


class Vectors(Column):
    """Vectors of one model, normalised to length 1 and held as float16."""

    def __init__(self, dimension: int | None) -> None:
        super().__init__()
        self._vectors = GatheredVectors(dimension, np.float16)

    def _add(self, values: pa.Array) -> None:
        self._vectors.add(values)

    def bad(self) -> Bad:
        """Return the vectors that cannot be compared; call once, before `likeness`."""
        self._joined, self._known, bad = self._vectors.joined()
        return bad

    def likeness(self, limit: float) -> Likeness:
        """Return which rows have a cosine of at least `limit`."""
        return near_vectors(self._joined, self._known, limit)


KINDS: Final[Mapping[str, Callable[[Field], Column]]] = {
    "sha256": lambda _: Digests(),
    "phash": lambda _: PerceptualHashes(),
    "inner_phash": lambda _: PerceptualHashes(),
    "mirrored_phash": lambda _: PerceptualHashes(),
    "embedding": lambda field: Vectors(dimension_of(field)),
}


def likenesses(
    columns: Mapping[str, Column], most_bits: int, least_cosine: float
) -> dict[str, Likeness]:
    """Return the similarity measures, by the name of what is compared.

    All hashes of a picture form one measure, including those of the area inside its border and of
    its mirror image: an image may show framed or mirrored what another shows as it is.
    """
    found: dict[str, Likeness] = {}
    hashes = {name: one for name, one in columns.items() if isinstance(one, PerceptualHashes)}
    for name, column in columns.items():
        if isinstance(column, Digests):
            found[name] = column.likeness()
        elif isinstance(column, Vectors):
            found[name] = column.likeness(least_cosine)
    if hashes:
        values = np.stack([one.values for one in hashes.values()], axis=1)
        known = np.stack([one.known for one in hashes.values()], axis=1)
        found[" or ".join(hashes)] = near_hashes(values, known, most_bits)
    return found


def _hash(text: str) -> int | None:
    try:
        return int(text, 16) if len(text) == BITS // 4 else None
    except ValueError:
        return None
