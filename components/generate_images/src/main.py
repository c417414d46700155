"""Generates an image for each prompt, with a base or fine-tuned diffusion model."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Final

import pyarrow as pa
from drawing_settings import DrawingSettings, Pair
from image_model import ImageModel
from painter import Drawn, Painter
from prompt_lengths import PromptLengths
from prompt_rows import PromptRow, PromptRows, in_groups

from fondant_spec.component import RowContext, SetupContext, StreamTransformComponent
from fondant_spec.dataset.rejects import Rejects
from fondant_spec.errors import InvalidArgumentError, did_you_mean
from fondant_spec.executor import execute
from image_toolkit.diffusion.pretrained import placement_on
from image_toolkit.models.runtime.device import devices
from image_toolkit.models.runtime.spread import spread

logger = logging.getLogger(__name__)

IMAGE: Final = "generated_image"
GRID: Final = "generated_grid"
TYPES: Final = {IMAGE: pa.binary(), GRID: pa.list_(pa.binary())}


class GenerateImages(StreamTransformComponent):
    """Generates images from prompts."""

    uses_device = True

    def __init__(
        self,
        *,
        model: ImageModel,
        drawing: DrawingSettings,
        rows: PromptRows,
        device: str = "auto",
        precision: str = "auto",
        batch_size: int = 4,
    ) -> None:
        self._model = model
        self._drawing = drawing
        self._rows = rows
        self._device = device
        self._precision = precision
        self._batch_size = batch_size
        self._lasting = ExitStack()
        self._lengths: PromptLengths | None = None

    def setup(self, context: SetupContext) -> None:
        """Load the model, once for each device.

        Raises:
            InvalidArgumentError: the step requires something that the rows or the model do not
                have.
            InputDataError: the model is not available.
        """
        self._outputs = _checked_outputs(context)
        self._rows.check(context)
        found = self._model.find(context.manifests, self._lasting)
        negatives = self._rows.has_negatives(context)
        pairs = self._pairs()
        placements = [placement_on(one, self._precision) for one in devices(self._device)]
        self._painters = []
        for placement in placements:
            pipeline = found.load(placement)
            self._drawing.apply(pipeline, with_negatives=negatives)
            painter = Painter(pipeline, self._drawing, pairs, self._batch_size)
            self._painters.append(painter)
        first = self._painters[0].pipeline
        self._lengths = PromptLengths(first)
        self._about = {
            **found.metadata(),
            **self._drawing.metadata(first),
            **self._rows.metadata(),
            "precision": placements[0].precision,
        }
        logger.info("Draws on %s.", ", ".join(map(str, placements)))

    def teardown(self) -> None:
        """Warn about truncated prompts, and remove downloads."""
        if self._lengths is not None:
            self._lengths.tell()
        self._lasting.close()

    def transform_batches(
        self, batches: Iterator[pa.RecordBatch], context: RowContext
    ) -> Iterator[pa.RecordBatch]:
        """Yield `id` and the images of the rows that have a prompt, in their order."""
        assert self._lengths is not None, "setup() comes first"  # noqa: S101
        rows = self._rows.of(batches, self._lengths, context.rejects)
        groups = in_groups(rows, self._batch_size)
        for group, drawn in spread([painter.draw for painter in self._painters], groups):
            yield self._batch(group, drawn, context.rejects)

    def field_metadata(self) -> Mapping[str, Mapping[str, Any]]:
        """Return which model generated the images, and with which settings."""
        return dict.fromkeys(self._outputs, self._about)

    def _pairs(self) -> list[Pair]:
        """Return the pairs to generate: all of them if the step produces the grid, or else one."""
        pairs = self._drawing.pairs
        if GRID in self._outputs:
            return pairs
        if len(pairs) > 1:
            logger.warning(
                "Of %d pairs of steps and guidance scale only the first is drawn: have the step "
                "produce %s, an array of binary, for all of them.",
                len(pairs),
                GRID,
            )
        return pairs[:1]

    def _batch(
        self, rows: Sequence[PromptRow], drawn: Mapping[str, Drawn], rejects: Rejects
    ) -> pa.RecordBatch:
        """Return the rows with generated images, and those not to be generated, with nulls."""
        made: list[dict[str, Any]] = []
        for row in rows:
            outcome = drawn.get(row.row_id)
            if outcome is None:
                made.append({"id": row.row_id})
            elif outcome.problem is not None:
                rejects.add(row.row_id, *outcome.problem)
            else:
                files = outcome.files
                made.append({"id": row.row_id, IMAGE: files[0], GRID: files})
        types = [(name, TYPES[name]) for name in self._outputs]
        return pa.RecordBatch.from_pylist(made, pa.schema([("id", pa.string()), *types]))


def _checked_outputs(context: SetupContext) -> list[str]:
    """Return the fields that the step has to produce.

    Raises:
        InvalidArgumentError: one is unknown, or of another type.
    """
    for name, declared in context.output_types.items():
        if name not in TYPES:
            hint = did_you_mean(name, list(TYPES))
            msg = f"generate_images: no field {name!r}{hint} There are {', '.join(TYPES)}."
            raise InvalidArgumentError(msg)
        if declared != TYPES[name]:
            msg = f"generate_images: {name} is of type {TYPES[name]}, not {declared}."
            raise InvalidArgumentError(msg)
    return [name for name in TYPES if name in context.output_fields]


if __name__ == "__main__":
    execute(GenerateImages)
