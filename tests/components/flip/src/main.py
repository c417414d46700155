"""Reverse the bytes of each image."""

import pyarrow as pa

from fondant_spec.component import ArrowTransformComponent, RowContext
from fondant_spec.executor import execute


class Flip(ArrowTransformComponent):
    """Overwrites the field it reads."""

    def transform(self, batch: pa.RecordBatch, context: RowContext) -> pa.RecordBatch:
        """Return the reversed images."""
        images = [image[::-1] for image in batch.column("image").to_pylist()]
        return pa.RecordBatch.from_arrays(
            [batch.column("id"), pa.array(images, pa.binary())], names=["id", "image"]
        )


if __name__ == "__main__":
    execute(Flip)
