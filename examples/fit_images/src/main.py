"""Scale images down, and leave out those that are too small."""

import sys

import pyarrow as pa

from fondant_spec.component import ArrowTransformComponent, RowContext
from fondant_spec.executor import execute
from image_toolkit.images.image_errors import NotAnImageError
from image_toolkit.images.rendering import (
    Rendered,
    Rendering,
    UnwantedImageError,
    sha256,
)


class FitImages(ArrowTransformComponent):
    """Images that need no change keep their compressed data."""

    def __init__(self, *, image_size: int | None = None, min_size: int = 0) -> None:
        self._rendering = Rendering(
            image_size=image_size or sys.maxsize,
            resize_mode="keep_ratio" if image_size else "no",
            min_image_size=min_size,
            max_aspect_ratio=float("inf"),
        )

    def transform(self, batch: pa.RecordBatch, context: RowContext) -> pa.RecordBatch:
        """Return the images that are large enough; the others are rejected with their size."""
        made: dict[str, Rendered] = {}
        hashes: dict[str, str] = {}
        rows = zip(batch.column("id").to_pylist(), batch.column("image").to_pylist(), strict=True)
        for row_id, data in rows:
            try:
                made[row_id] = self._rendering.render(data or b"")
                hashes[row_id] = sha256(data)
            except UnwantedImageError as error:
                context.rejects.filter(row_id, error.reason, error.message)
            except NotAnImageError as error:
                context.rejects.add(row_id, error.reason, error.message)
        images = made.values()
        return pa.record_batch(
            {
                "id": pa.array(made, pa.string()),
                "image": pa.array([image.data for image in images], pa.binary()),
                "image_width": pa.array([image.width for image in images], pa.int32()),
                "image_height": pa.array([image.height for image in images], pa.int32()),
                "sha256": pa.array(hashes.values(), pa.string()),
            }
        )


if __name__ == "__main__":
    execute(FitImages)
