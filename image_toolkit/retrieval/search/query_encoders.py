"""Query vectors of texts and images, for a service."""

from functools import partial
from threading import Lock
from typing import cast

import numpy as np
import pyarrow as pa

from fondant_spec.dataset.rejects import Rejects
from image_toolkit.models.embedding.embedders import TextEncoder, image_encoder, text_encoder
from image_toolkit.models.embedding.embedding_stream import Embedder
from image_toolkit.models.embedding.text_lengths import TextLengths
from image_toolkit.retrieval.search.hits import FloatArray
from image_toolkit.retrieval.service.query_requests import BadRequestError


class QueryEncoders:
    """Both towers of a CLIP model. Thread-safe; one query is embedded at a time.

    Raises:
        InputDataError: the model cannot be loaded.
    """

    def __init__(self, model_id: str, revision: str | None = None) -> None:
        self._towers = {
            "text": Embedder(partial(text_encoder, model_id, revision), engine="torch", most=1),
            "image": Embedder(partial(image_encoder, model_id, revision), engine="torch", most=1),
        }
        for tower in self._towers.values():
            tower.load()
        self._lock = Lock()
        self.about = self._towers["text"].metadata("text")

    def vector(self, cell: str | bytes) -> FloatArray:
        """Return the vector of a text or of an encoded image.

        Raises:
            BadRequestError: it cannot be embedded.
        """
        column = "text" if isinstance(cell, str) else "image"
        rejects = Rejects()
        batch = pa.record_batch([["query"], [cell]], names=["id", column])
        tower = self._towers[column]
        with self._lock:
            if isinstance(cell, str):
                lengths = TextLengths(cast("TextEncoder", tower.encoder), refuse=False)
                batch = next(lengths.read(iter([batch]), column, rejects))
                lengths.tell()
            for found in tower.batches(iter([batch]), column, rejects):
                if len(found):
                    vector = found.column("embedding").flatten().to_numpy(zero_copy_only=False)
                    return np.asarray(vector, np.float32)
        msg = f"the {column} cannot be embedded: {', '.join(rejects.counts)}"
        raise BadRequestError(msg)

    def close(self) -> None:
        """Stop the threads that prepare images and texts."""
        for tower in self._towers.values():
            tower.close()
