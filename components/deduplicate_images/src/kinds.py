"""What images are compared by: the values of a column, held as narrow as they can be."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from image_toolkit.copies.likeness import Likeness, equal_values
from image_toolkit.copies.near_hashes import BITS, near_hashes
from image_toolkit.copies.near_vectors import near_vectors

Bad = Mapping[int, tuple[str, str]]
"""By their places in a batch, values that are none: a reason, and a message."""


class Column(ABC):
    """The values of all rows; `unknown` is how many rows have none."""

    def __init__(self) -> None:
        self.unknown = 0

    def add(self, values: pa.Array) -> Bad:
        """Take the values of a batch, and return those that cannot be compared."""
        self.unknown += values.null_count
        return self._add(values)

    @abstractmethod
    def _add(self, values: pa.Array) -> Bad: ...


class Digests(Column):
    """Hashes of files: equal or not."""

    def __init__(self) -> None:
        super().__init__()
        self._values: list[pa.Array] = []

    def _add(self, values: pa.Array) -> Bad:
        self._values.append(pc.utf8_lower(values.cast(pa.string())))
        empty = np.flatnonzero(pc.fill_null(pc.equal(values, ""), False))  # noqa: FBT003 - Arrow's
        return {int(place): ("bad_hash", "an empty text is no hash") for place in empty}

    def likeness(self) -> Likeness:
        """Return which rows are equal."""
        return equal_values(pa.chunked_array(self._values, pa.string()))


class PerceptualHashes(Column):
    """Hashes of 64 bits, in hexadecimal."""

    def __init__(self) -> None:
        super().__init__()
        self._values: list[int] = []
        self._known: list[bool] = []

    def _add(self, values: pa.Array) -> Bad:
        bad = {}
        for place, text in enumerate(values.to_pylist()):
            value = None if text is None else _hash(text)
            if text is not None and value is None:
                message = f"{text!r} is no hash of {BITS} bits, {BITS // 4} hexadecimal digits"
                bad[place] = ("bad_hash", message)
            self._values.append(value or 0)
            self._known.append(value is not None)
        return bad

    @property
    def values(self) -> "np.ndarray[Any, np.dtype[np.uint64]]":
        """The hashes of all rows; 0 where there is none."""
        return np.array(self._values, np.uint64)

    @property
    def known(self) -> "np.ndarray[Any, np.dtype[np.bool_]]":
        """Which rows have one."""
        return np.array(self._known, np.bool_)


class Vectors(Column):
    """Vectors of one model, brought to length 1 and held with 16 bits a number."""

    def __init__(self) -> None:
        super().__init__()
        self._dimension = 0
        self._vectors: list[np.ndarray[Any, Any]] = []
        self._known: list[np.ndarray[Any, Any]] = []

    def _add(self, values: pa.Array) -> Bad:
        lengths = pc.list_value_length(values)
        self._dimension = self._dimension or next((n for n in lengths.to_pylist() if n), 0)
        fits = pc.fill_null(pc.equal(lengths, self._dimension), False).to_numpy(  # noqa: FBT003
            zero_copy_only=False
        )
        bad = {
            place: ("wrong_dimension", f"{length} dimensions instead of {self._dimension}")
            for place, length in enumerate(lengths.to_pylist())
            if length is not None and not fits[place]
        }
        flat = values.filter(pa.array(fits)).flatten().cast(pa.float32())
        vectors = flat.to_numpy(zero_copy_only=False).reshape(-1, max(self._dimension, 1))
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        sound = np.isfinite(norms[:, 0]) & (norms[:, 0] > 0)
        for place in np.flatnonzero(fits)[~sound]:
            bad[int(place)] = ("bad_embedding", "not finite, or all zeros")
        known = fits.copy()
        known[fits] = sound
        held = np.zeros((len(values), max(self._dimension, 1)), np.float16)
        held[known] = vectors[sound] / norms[sound]
        self._vectors.append(held)
        self._known.append(known)
        return bad

    def likeness(self, limit: float) -> Likeness:
        """Return which rows have a cosine of at least `limit`."""
        return near_vectors(self._joined(), np.concatenate(self._known), limit)

    def _joined(self) -> np.ndarray[Any, Any]:
        """Return all vectors as one array; what came before the first vector has none."""
        joined = np.zeros((sum(map(len, self._vectors)), max(self._dimension, 1)), np.float16)
        start = 0
        while self._vectors:
            part = self._vectors.pop(0)
            joined[start : start + len(part), : part.shape[1]] = part
            start += len(part)
        return joined


KINDS: Final[Mapping[str, type[Column]]] = {
    "sha256": Digests,
    "phash": PerceptualHashes,
    "inner_phash": PerceptualHashes,
    "mirrored_phash": PerceptualHashes,
    "embedding": Vectors,
}


def likenesses(
    columns: Mapping[str, Column], most_bits: int, least_cosine: float
) -> dict[str, Likeness]:
    """Return in which ways rows are alike, by the name of what tells it.

    All hashes of a picture are one way, that of what is inside its border and that of its mirror
    image, too: what one image shows in a frame, or turned round, another may show as it is.
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
