"""Class images (for regularisation), none of which may show a training image.

They are kept on disk until all other images are known. Then each is compared with these: by its
bytes, by its perceptual hash, and by its vector if the rows have vectors.
"""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pair_texts import CLASS_PROMPT

from fondant_spec.dataset.rejects import Rejects
from image_toolkit.blank_texts import is_blank
from image_toolkit.copies.near_hashes import shows_contrast
from image_toolkit.images.decoding import decode_pixels
from image_toolkit.images.image_errors import NotAnImageError
from image_toolkit.images.rendering import phash

EMBEDDING: Final = "embedding"
"""The field with the images' vectors, used only for comparing them."""

IN_TRAINING_SET: Final = "in_training_set"
_HASHED_SIDE: Final = 32
_FEW_BITS: Final = 6
"""Perceptual hashes (64 bits) that differ in at most this many bits count as the same picture."""

_NEAR: Final = 0.94
"""Two vectors with a higher cosine count as the same picture, as in clip-retrieval."""

Floats = npt.NDArray[np.float32]


class ClassImages:
    """Separates class images from batches, and returns those that show no training image."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._aside: pa.RecordBatchStreamWriter | None = None
        self._others = _Pictures()

    def without(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows of a batch that are not class images; the rest is set aside."""
        prompts = batch.column(CLASS_PROMPT).to_pylist()
        of_class = pa.array([not is_blank(prompt) for prompt in prompts], pa.bool_())
        if any(of_class.to_pylist()):
            if self._aside is None:
                self._aside = pa.ipc.new_stream(self._file, batch.schema)
            self._aside.write_batch(batch.filter(of_class))
        others = batch.filter(pc.invert(of_class))
        for row in _rows(others):
            self._others.add(row)
        return others

    def apart(self, rejects: Rejects) -> Iterator[pa.RecordBatch]:
        """Yield the rows that were set aside, except pictures that are also among the others."""
        if self._aside is None:
            return
        self._aside.close()
        self._file.seek(0)
        for batch in pa.ipc.open_stream(self._file):
            kept = []
            for row in _rows(batch):
                same = self._others.same(row)
                if same:
                    rejects.filter(row["id"], IN_TRAINING_SET, same)
                kept.append(not same)
            yield batch.filter(pa.array(kept, pa.bool_()))

    def close(self) -> None:
        """Delete what was set aside."""
        self._file.close()


class _Pictures:
    """An index of pictures to compare others with: about 100 bytes and a vector each."""

    def __init__(self) -> None:
        self._digests: dict[bytes, str] = {}
        self._hashes: dict[str, int] = {}
        self._vectors: dict[str, Floats] = {}

    def add(self, row: Mapping[str, Any]) -> None:
        self._digests.setdefault(_digest(row), row["id"])
        if (hashed := _hash(row)) is not None:
            self._hashes[row["id"]] = hashed
        if (vector := _vector(row)) is not None:
            self._vectors[row["id"]] = vector

    def same(self, row: Mapping[str, Any]) -> str:
        """Return which of the pictures a row shows, and by which evidence; empty if none."""
        if (digest := _digest(row)) in self._digests:
            return f"the very file of {self._digests[digest]}"
        hashed, vector = _hash(row), _vector(row)
        if hashed is not None and self._hashes:
            bits = np.bitwise_count(self._all_hashes ^ np.uint64(hashed))
            if bits.min() <= _FEW_BITS:
                return f"the picture of {[*self._hashes][bits.argmin()]}, by its perceptual hash"
        if vector is not None and self._vectors:
            cosines = self._all_vectors @ vector
            if cosines.max() > _NEAR:
                return f"the picture of {[*self._vectors][cosines.argmax()]}, by its vector"
        return ""

    @cached_property
    def _all_hashes(self) -> npt.NDArray[np.uint64]:
        return np.array([*self._hashes.values()], np.uint64)

    @cached_property
    def _all_vectors(self) -> Floats:
        return np.stack([*self._vectors.values()])


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    names = {"id", "image", EMBEDDING} & {*batch.schema.names}
    yield from batch.select(sorted(names)).to_pylist()


def _digest(row: Mapping[str, Any]) -> bytes:
    return hashlib.sha256(row["image"] or b"").digest()


def _hash(row: Mapping[str, Any]) -> int | None:
    """Return a row's perceptual hash; None if useless, as the picture has no contrast."""
    try:
        hashed = int(phash(decode_pixels(row["image"] or b"", target_side=_HASHED_SIDE)), 16)
    except NotAnImageError:
        return None  # such a row is no pair
    return hashed if shows_contrast(np.array([hashed], np.uint64))[0] else None


def _vector(row: Mapping[str, Any]) -> Floats | None:
    """Return a row's vector, normalised to length 1."""
    vector = np.asarray(row.get(EMBEDDING) or [], np.float32)
    length = float(np.linalg.norm(vector))
    return vector / length if vector.size and np.isfinite(length) and length else None
