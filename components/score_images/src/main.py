"""Measures images: what the step names as produced, and nothing else."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from pixel_measures import MEASURES, Picture
from vector_scores import SCORES, VectorScores, VectorSettings

from fondant_spec.component import ArrowTransformComponent, RowContext, SetupContext
from fondant_spec.cpu import cpu_count
from fondant_spec.dataset.rejects import Rejects
from fondant_spec.errors import InvalidArgumentError, did_you_mean
from fondant_spec.executor import execute
from image_toolkit.images.decoding import decode_pixels
from image_toolkit.images.image_errors import NotAnImageError

TEXT_AREA = "text_area"
_AT_ONCE: Final = 8
"""Images a core that are looked through for text before any counts as done: some seconds' work,
after which progress is seen, and which is what an interruption loses."""

TYPES: Mapping[str, pa.DataType] = {
    **{name: made for name, (_, made) in MEASURES.items()},
    TEXT_AREA: pa.float32(),
    **SCORES,
}


class ScoreImages(ArrowTransformComponent):
    """Adds a field for each measure that is asked for."""

    uses_device = True
    batch_rows = 256

    def __init__(self, *, settings: VectorSettings) -> None:
        self._settings = settings

    def setup(self, context: SetupContext) -> None:
        """Load the models that the produced fields need.

        Raises:
            InvalidArgumentError: no field is named, an unknown one, or one of another type.
        """
        asked = context.output_types
        if not asked:
            msg = (
                "score_images: name what it is to produce, as in "
                f"produces={{'blur': 'float32'}}; it has {', '.join(TYPES)}."
            )
            raise InvalidArgumentError(msg)
        for name, declared in asked.items():
            if name not in TYPES:
                hint = did_you_mean(name, list(TYPES))
                msg = f"score_images: no measure {name!r}{hint} There are {', '.join(TYPES)}."
                raise InvalidArgumentError(msg)
            if declared != TYPES[name]:
                msg = f"score_images: {name} is of type {TYPES[name]}, not {declared}."
                raise InvalidArgumentError(msg)
        self._asked = list(asked)
        self._measures = {name: MEASURES[name][0] for name in asked if name in MEASURES}
        if TEXT_AREA in asked:
            from text_area import TextArea  # noqa: PLC0415 - nobody else need load its model

            self._measures[TEXT_AREA] = TextArea().measure
            self.batch_rows = min(self.batch_rows, _AT_ONCE * cpu_count())
        names = [name for name in asked if name in SCORES]
        self._vectors = VectorScores(names, self._settings, context.input_fields) if names else None
        self._pool = ThreadPoolExecutor(cpu_count())

    def teardown(self) -> None:
        """Stop all threads."""
        if hasattr(self, "_pool"):
            self._pool.shutdown()
            if self._vectors is not None:
                self._vectors.close()

    def field_metadata(self) -> Mapping[str, Mapping[str, Any]]:
        """Return which model made the scores of vectors."""
        if self._vectors is None:
            return {}
        return {name: self._vectors.about for name in self._asked if name in SCORES}

    def transform(self, batch: pa.RecordBatch, context: RowContext) -> pa.RecordBatch:
        """Return the measures of the images that can be decoded, and have a vector if need be."""
        made = self._pixel_columns(batch, context.rejects)
        if self._vectors is not None:
            rows = batch.filter(pc.is_in(batch.column("id"), value_set=made.column("id")))
            rows, vectors = self._vectors.vectors(rows, context.rejects)
            made = made.filter(pc.is_in(made.column("id"), value_set=rows.column("id")))
            for name, scores in self._vectors.scores(rows, vectors):
                if name in self._asked:
                    made = made.append_column(name, scores)
        return made

    def _pixel_columns(self, batch: pa.RecordBatch, rejects: Rejects) -> pa.RecordBatch:
        """Return the ids, and what is measured of pixels, if anything is."""
        if not self._measures:
            return batch.select(["id"])
        rows = []
        images = self._pool.map(self._measure, batch.column("image").to_pylist())
        for row_id, measured in zip(batch.column("id").to_pylist(), images, strict=True):
            if isinstance(measured, NotAnImageError):
                rejects.add(row_id, measured.reason, measured.message)
            else:
                rows.append({"id": row_id, **measured})
        types = [(name, TYPES[name]) for name in self._measures]
        return pa.RecordBatch.from_pylist(rows, pa.schema([("id", pa.string()), *types]))

    def _measure(self, data: bytes | None) -> dict[str, Any] | NotAnImageError:
        """Return all measures of one image, or why it has none."""
        try:
            picture = Picture(data or b"", decode_pixels(data or b""))
        except NotAnImageError as error:
            return error
        return {name: measure(picture) for name, measure in self._measures.items()}


if __name__ == "__main__":
    execute(ScoreImages)
