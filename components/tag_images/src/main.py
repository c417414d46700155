"""Tags images with a booru-style tagger."""

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import tag_list
import tagger
from tag_choice import RATING, TagChoice, TagSettings

from fondant_spec.component import ArrowTransformComponent, RowContext, SetupContext
from fondant_spec.cpu import cpu_count
from fondant_spec.errors import InvalidArgumentError, did_you_mean
from fondant_spec.executor import execute
from image_toolkit.images.decoding import decode_pixels
from image_toolkit.images.image_errors import NotAnImageError
from image_toolkit.models.runtime.hub_files import find_files

logger = logging.getLogger(__name__)

TAGS = "tags"
WEIGHTS = "tag_weights"
TYPES: Mapping[str, pa.DataType] = {
    TAGS: pa.list_(pa.string()),
    WEIGHTS: pa.list_(pa.float32()),
    RATING: pa.string(),
}


class TagImages(ArrowTransformComponent):
    """Adds the tags that a model assigns with sufficient confidence."""

    uses_device = True

    def __init__(
        self,
        *,
        model_id: str = "SmilingWolf/wd-vit-tagger-v3",
        revision: str | None = None,
        settings: TagSettings,
        device: str = "auto",
        batch_size: int = 16,
    ) -> None:
        self._model_id = model_id
        self._revision = revision
        self._settings = settings
        self._device = device
        self.batch_rows = 4 * batch_size
        self._batch_size = batch_size

    def setup(self, context: SetupContext) -> None:
        """Load the model.

        Raises:
            InvalidArgumentError: an unknown field is to be produced.
            InputDataError: the model is not available, or is not a tagger.
        """
        self._asked = _asked(context.output_types)
        files = find_files(self._model_id, (tag_list.FILE, tagger.FILE), self._revision)
        known = tag_list.read_tags(files.folder)
        self._tagger = tagger.Tagger(files.folder, len(known), self._device)
        self._choice = TagChoice(known, self._settings)
        if RATING in self._asked and not self._choice.has_ratings:
            msg = f"tag_images: {self._model_id} rates no images, so there is no {RATING!r}."
            raise InvalidArgumentError(msg)
        self._pool = ThreadPoolExecutor(cpu_count())
        self._about = {"model_id": files.name, "revision": files.revision}
        logger.info("runs on %s, at %d pixels", self._tagger.device, self._tagger.side)

    def teardown(self) -> None:
        """Stop all threads."""
        if hasattr(self, "_pool"):
            self._pool.shutdown()

    def field_metadata(self) -> Mapping[str, Mapping[str, Any]]:
        """Return which model made the tags, and how they were chosen."""
        chosen = {"thresholds": dict(self._settings.thresholds)}
        return {
            name: self._about | ({} if name == RATING else chosen) for name in (TAGS, *self._asked)
        }

    def transform(self, batch: pa.RecordBatch, context: RowContext) -> pa.RecordBatch:
        """Return the tags of the images that can be decoded."""
        rows: list[dict[str, Any]] = []
        waiting: list[tuple[str, tagger.Pixels]] = []
        ids = batch.column("id").to_pylist()
        # Threads continue decoding while the model runs.
        squares = self._pool.map(self._square, batch.column("image").to_pylist())
        for row_id, square in zip(ids, squares, strict=True):
            if isinstance(square, NotAnImageError):
                context.rejects.add(row_id, square.reason, square.message)
                continue
            waiting.append((row_id, square))
            if len(waiting) == self._batch_size:
                rows += self._tagged(waiting)
                waiting = []
        rows += self._tagged(waiting)
        types = {TAGS: TYPES[TAGS], **{name: TYPES[name] for name in self._asked}}
        return pa.RecordBatch.from_pylist(rows, pa.schema({"id": pa.string(), **types}))

    def _square(self, data: bytes | None) -> tagger.Pixels | NotAnImageError:
        """Return an image in the model's input format, or the error."""
        try:
            return self._tagger.square(decode_pixels(data or b""))
        except NotAnImageError as error:
            return error

    def _tagged(self, images: list[tuple[str, tagger.Pixels]]) -> list[dict[str, Any]]:
        if not images:
            return []
        ids, squares = zip(*images, strict=True)
        found = self._tagger(list(squares))
        return [self._row(row_id, sure) for row_id, sure in zip(ids, found, strict=True)]

    def _row(
        self, row_id: str, sureness: "np.ndarray[Any, np.dtype[np.float32]]"
    ) -> dict[str, Any]:
        tags = self._choice.tags(sureness)
        row: dict[str, Any] = {"id": row_id, TAGS: list(tags), WEIGHTS: list(tags.values())}
        if RATING in self._asked:
            row[RATING] = self._choice.rating(sureness)
        return row


def _asked(types: Mapping[str, pa.DataType]) -> list[str]:
    """Return the fields to produce, besides the tags.

    Raises:
        InvalidArgumentError: one is unknown, or of another type.
    """
    asked = [name for name in types if name != TAGS]
    for name in asked:
        if name not in TYPES:
            hint = did_you_mean(name, list(TYPES))
            msg = f"tag_images: no field {name!r}{hint} There are {', '.join(TYPES)}."
            raise InvalidArgumentError(msg)
        if types[name] != TYPES[name]:
            msg = f"tag_images: {name} is of type {TYPES[name]}, not {types[name]}."
            raise InvalidArgumentError(msg)
    return asked


if __name__ == "__main__":
    execute(TagImages)
