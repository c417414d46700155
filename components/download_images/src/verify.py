"""Comparing a downloaded image with the one that was indexed, by their vectors.

An expired domain can be bought, and used to serve other images under the URLs of an index: the
cheapest way to poison a dataset. A hash would detect it, but also reject every image that its host
has re-encoded; the vector of such an image hardly changes, unlike that of another image.
"""

import threading
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from fondant_spec.dataset.rejects import Rejects
from fondant_spec.errors import InputDataError
from image_toolkit.models.embedding.embedders import image_encoder
from image_toolkit.models.embedding.embedding_stream import Embedder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Expected = Mapping[str, NDArray[np.float32]]
    """The vectors from the index, by row id; rows without one are not verified."""


class Verifier:
    """Compares images with vectors of the same model. Thread-safe, one caller at a time."""

    def __init__(self, model_id: str, least_cosine: float) -> None:
        self._least_cosine = least_cosine
        self._embedder = Embedder(partial(image_encoder, model_id, None))
        self._lock = threading.Lock()

    def load(self) -> None:
        """Load the model.

        Raises:
            InputDataError: the model cannot be loaded.
        """
        self._embedder.load()

    def close(self) -> None:
        """Stop the threads that prepare images."""
        self._embedder.close()

    def metadata(self) -> dict[str, Any]:
        """Return which model verified the images, and the similarity it required."""
        return {**self._embedder.metadata("image"), "least_cosine": self._least_cosine}

    def kept(
        self, batches: Iterator[pa.RecordBatch], expected: "Expected", rejects: Rejects
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows whose image matches its vector; the others are quarantined as rejects.

        Raises:
            InputDataError: the vectors have another length than the model's.
        """
        for batch in batches:
            ids = batch.column("id").to_pylist()
            to_check = pa.array([row_id in expected for row_id in ids])
            cosines = self._cosines(batch.filter(to_check), expected, rejects)
            keep = [self._is_like(row_id, cosines, expected, rejects) for row_id in ids]
            yield batch.filter(pa.array(keep))

    def _cosines(
        self, batch: pa.RecordBatch, expected: "Expected", rejects: Rejects
    ) -> dict[str, float]:
        images = batch.select(["id", "image"])
        cosines = {}
        with self._lock:
            for embedded in self._embedder.batches(iter([images]), "image", rejects):
                vectors = embedded.column("embedding").to_numpy(zero_copy_only=False)
                for row_id, vector in zip(embedded.column("id").to_pylist(), vectors, strict=True):
                    cosines[row_id] = _cosine(vector, expected[row_id])
        return cosines

    def _is_like(
        self, row_id: str, cosines: dict[str, float], expected: "Expected", rejects: Rejects
    ) -> bool:
        if row_id not in expected:
            return True
        if row_id not in cosines:
            return False  # already rejected by the embedder
        if cosines[row_id] >= self._least_cosine:
            return True
        message = f"cosine {cosines[row_id]:.3f} to what was indexed, below {self._least_cosine:g}"
        rejects.add(row_id, "embedding_mismatch", message)
        return False


def _cosine(one: "NDArray[np.float32]", other: "NDArray[np.float32]") -> float:
    if len(one) != len(other):
        msg = (
            f"expected_embedding has {len(other)} numbers, the model's vectors {len(one)}; "
            "name the model of the index as verify_model_id."
        )
        raise InputDataError(msg)
    return float(np.dot(one, other) / max(np.linalg.norm(one) * np.linalg.norm(other), 1e-12))
