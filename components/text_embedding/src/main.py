"""Embeds texts with the text tower of a CLIP-like model."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, cast

import pyarrow as pa

from fondant_spec.component import RowContext, SetupContext, StreamTransformComponent
from fondant_spec.errors import InvalidArgumentError
from fondant_spec.executor import execute
from image_toolkit.models.embedding.embedders import TextEncoder, text_encoder
from image_toolkit.models.embedding.embedding_stream import Embedder
from image_toolkit.models.embedding.text_lengths import TOKENS, TextLengths
from image_toolkit.models.runtime.feed_rows import SAMPLES


class TextEmbedding(StreamTransformComponent):
    """Turns texts into unit vectors."""

    uses_device = True

    def __init__(
        self,
        *,
        model_id: str = "openai/clip-vit-large-patch14",
        revision: str | None = None,
        batch_size: int = 0,
        device: str = "auto",
        precision: str = "auto",
        long_texts: str = "cut",
    ) -> None:
        self._refuse_long = long_texts == "reject"
        self._embedder = Embedder(
            partial(text_encoder, model_id, revision),
            device=device,
            precision=precision,
            engine="torch",
            most=batch_size,
        )

    def setup(self, context: SetupContext) -> None:
        """Load the model, once for each device.

        Raises:
            InvalidArgumentError: the step is asked for a field that there is not.
        """
        unknown = sorted(context.output_fields - {"embedding", TOKENS})
        if unknown:
            msg = f"produces: no field {unknown[0]!r}; there is {TOKENS}."
            raise InvalidArgumentError(msg)
        self._embedder.load(context.first_rows(["text"], SAMPLES)["text"])
        self.partitions_at_once = self._embedder.partitions_at_once

    def teardown(self) -> None:
        """Stop the threads that prepare texts."""
        self._embedder.close()

    def transform_batches(
        self, batches: Iterator[pa.RecordBatch], context: RowContext
    ) -> Iterator[pa.RecordBatch]:
        """Yield `id`, `embedding` and, asked for, `text_tokens` of the texts that are not empty."""
        encoder = cast("TextEncoder", self._embedder.encoder)
        lengths = TextLengths(encoder, refuse=self._refuse_long)
        read = lengths.read(batches, "text", context.rejects)
        for made in self._embedder.batches(read, "text", context.rejects):
            yield lengths.beside(made) if TOKENS in context.output_fields else made
        lengths.tell()

    def field_metadata(self) -> Mapping[str, Mapping[str, Any]]:
        """Return which model made the vectors."""
        return {"embedding": self._embedder.metadata("text")}


if __name__ == "__main__":
    execute(TextEmbedding)
