"""Embeds images with the image tower of a CLIP-like model."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pyarrow as pa

from fondant_spec.component import RowContext, SetupContext, StreamTransformComponent
from fondant_spec.executor import execute
from image_toolkit.models.embedding.embedders import image_encoder
from image_toolkit.models.embedding.embedding_stream import Embedder
from image_toolkit.models.runtime.feed_rows import SAMPLES


class ImageEmbedding(StreamTransformComponent):
    """Turns images into unit vectors."""

    uses_device = True

    def __init__(
        self,
        *,
        model_id: str = "openai/clip-vit-large-patch14",
        revision: str | None = None,
        batch_size: int = 0,
        device: str = "auto",
        precision: str = "auto",
        engine: str = "auto",
    ) -> None:
        self._embedder = Embedder(
            partial(image_encoder, model_id, revision),
            device=device,
            precision=precision,
            engine=engine,
            most=batch_size,
        )

    def setup(self, context: SetupContext) -> None:
        """Load the model, once for each device."""
        self._embedder.load(context.first_rows(["image"], SAMPLES)["image"])
        self.partitions_at_once = self._embedder.partitions_at_once

    def teardown(self) -> None:
        """Stop the threads that prepare images."""
        self._embedder.close()

    def transform_batches(
        self, batches: Iterator[pa.RecordBatch], context: RowContext
    ) -> Iterator[pa.RecordBatch]:
        """Yield `id` and `embedding` of the images that can be decoded."""
        yield from self._embedder.batches(batches, "image", context.rejects)

    def field_metadata(self) -> Mapping[str, Mapping[str, Any]]:
        """Return which model made the vectors."""
        return {"embedding": self._embedder.metadata("image")}


if __name__ == "__main__":
    execute(ImageEmbedding)
