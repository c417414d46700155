"""Measures what fine-tuning on a dataset achieved, and writes a report."""

import logging
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import pyarrow as pa
from chosen_by_clip import same_clip
from compared_sets import compared_sets
from drawn_alike import differences
from evaluation_page import Shown, page_of
from evaluation_settings import EvaluationSettings
from evaluator import Evaluator
from gathered import BASE, TUNED
from generated_sides import smallest_side
from image_reader import GRID, ImageReader
from inception_scores import check_fidelity
from object_detector import ObjectDetector
from picture_spool import PictureSpool
from shown_samples import grids_of, samples_of
from training_curve import training_curve

from fondant_spec.component import RowContext, SetupContext, WriteComponent
from fondant_spec.dataset import storage
from fondant_spec.dataset.written_files import MARK
from fondant_spec.executor import execute
from image_toolkit.models.embedding.embedders import image_encoder, text_encoder
from image_toolkit.models.embedding.embedding_stream import Embedder
from image_toolkit.models.embedding.zero_shot import ZeroShot, check_labels
from image_toolkit.plain_json import as_json
from image_toolkit.publishing.published_folder import check_replaceable, published

logger = logging.getLogger(__name__)

PAGE: Final = "report.html"
FIGURES: Final = "report.json"
_DIGITS: Final = 6


class EvaluateImages(WriteComponent):
    """Compares originals, a base model's images and a tuned model's."""

    uses_device = True

    def __init__(self, *, settings: EvaluationSettings, output_path: str | None = None) -> None:
        self._settings = settings
        self._output_path = output_path and storage.normalize(output_path)
        check_labels(settings.labels, "evaluate_images")
        if settings.inception_weights is not None:
            check_fidelity(settings.inception_weights)
        model, revision = settings.clip_model_id, settings.clip_revision
        # In fp32, so that figures do not depend on how images are batched.
        options: dict[str, Any] = {"device": settings.device, "precision": "fp32"}
        most = settings.batch_size
        self._images = Embedder(partial(image_encoder, model, revision), most=most, **options)
        self._texts = Embedder(partial(text_encoder, model, revision), most=most, **options)
        self._pictures = PictureSpool()
        self._looks = PictureSpool() if settings.inception_weights is not None else None

    def setup(self, context: SetupContext) -> None:
        """Load the models, after checking that the target is free.

        Raises:
            StorageError: the target holds somebody else's files, or some that were changed.
            InputDataError: a model, or the record of a training step, cannot be loaded.
        """
        settings = self._settings
        self._target = self._output_path or context.output_directory
        # In the step's own folder, leftovers of an interrupted run have no mark and are replaced.
        if self._output_path or storage.exists(storage.join(self._target, MARK)):
            check_replaceable(self._target)
        self._made_by = context.cache_key
        fields = context.input_fields
        self._grid_made_by = fields[GRID].metadata if GRID in fields else {}
        training = training_curve(context.manifests)
        side = settings.resolution or smallest_side(fields, context.manifests)
        self._images.load()
        self._texts.load()
        self._evaluator = Evaluator(
            settings,
            self._images,
            self._texts,
            ZeroShot(settings.labels, settings.label_prompt, self._texts, "evaluate_images"),
            _detector(settings),
            side,
            training,
            [
                *differences(fields[BASE].metadata, fields[TUNED].metadata),
                *same_clip(context.manifests, self._images.metadata("image")),
            ],
        )

    def teardown(self) -> None:
        """Stop the threads that prepare images and texts, and release the pictures."""
        self._images.close()
        self._texts.close()
        for spool in (self._pictures, self._looks):
            if spool is not None:
                spool.close()

    def write(self, batches: Iterator[pa.RecordBatch], context: RowContext) -> list[str]:
        """Write the report, and return the path of its mark.

        Raises:
            InputDataError: there is too little to compare.
        """
        made_by = self._evaluator
        reader = ImageReader(
            self._images, made_by.side, made_by.detector, self._pictures, self._looks
        )
        gathered = reader.read(batches, context.rejects)
        compared = compared_sets(gathered, self._settings.seed)
        report = made_by.report(gathered, compared, self._looks)
        shown = Shown(
            samples_of(gathered, compared, self._settings.samples_shown),
            grids_of(gathered, reader.grids, self._grid_made_by),
            self._pictures.address,
        )
        mark: dict[str, Any] = {"verdict": report.verdict.kind, "cache_key": self._made_by}
        with published(self._target, mark) as folder:
            folder.write(PAGE, page_of(report, shown).encode())
            folder.write(FIGURES, as_json(report, _DIGITS).encode())
        logger.info("%s %s", report.verdict.sentence, report.verdict.figures)
        for warning in report.warnings:
            logger.warning("%s", warning)
        return [storage.join(self._target, name) for name in (MARK, PAGE, FIGURES)]


def _detector(settings: EvaluationSettings) -> ObjectDetector | None:
    if settings.detector is None:
        return None
    model, revision = settings.detector, settings.detector_revision
    return ObjectDetector(model, revision, settings.detector_threshold, settings.device)


if __name__ == "__main__":
    execute(EvaluateImages)
