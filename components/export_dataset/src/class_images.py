"""Images of the class alone: none of them may be an image to train on.

They wait on disk until all others are known. Then each is compared with these: by its bytes, by its
perceptual hash, and by its vector, where the rows have vectors.
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
"""The field with the images' vectors, which serves to compare them and for nothing else."""

IN_TRAINING_SET: Final = "in_training_set"
_HASHED_SIDE: Final = 32
_FEW_BITS: Final = 6
"""Perceptual hashes, of 64 bits, that differ in no more are taken for those of one picture."""

_NEAR: Final = 0.94
"""The cosine above which two vectors are taken for those of one picture, as clip-retrieval does."""

Floats = npt.NDArray[np.float32]


class ClassImages:
    """Takes the rows of the class out of batches, and gives back those that show no others."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._aside: pa.RecordBatchStreamWriter | None = None
        self._others = _Pictures()

    def without(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows of a batch that are not of the class; the rest is put aside."""
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
        """Yield the rows that were put aside, but for pictures that are among the others, too."""
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
        """Forget what was put aside."""
        self._file.close()


class _Pictures:
    """What is known of pictures, for others to be compared with: some 100 bytes and a vector."""

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
        """Return which of the pictures a row shows, and why that is thought; empty for none."""
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
    """Return a row's perceptual hash; None of a picture without contrast: it tells nothing."""
    try:
        hashed = int(phash(decode_pixels(row["image"] or b"", target_side=_HASHED_SIDE)), 16)
    except NotAnImageError:
        return None  # such a row gives no pair
    return hashed if shows_contrast(np.array([hashed], np.uint64))[0] else None


def _vector(row: Mapping[str, Any]) -> Floats | None:
    """Return a row's vector at length 1."""
    vector = np.asarray(row.get(EMBEDDING) or [], np.float32)
    length = float(np.linalg.norm(vector))
    return vector / length if vector.size and np.isfinite(length) and length else None
