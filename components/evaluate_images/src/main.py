"""Says by figures what fine-tuning on a dataset did, and writes a report."""

import logging
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import pyarrow as pa
from compared_sets import Compared, compared_sets, warnings_of
from evaluation_figures import figures_of
from evaluation_page import Shown, page_of
from evaluation_report import Report
from evaluation_settings import EvaluationSettings
from gathered import Gathered, Vectors
from generated_sides import smallest_side
from image_reader import GRID, ImageReader
from inception_scores import (
    InceptionScores,
    check_fidelity,
    few_images_warning,
    inception_scores,
)
from object_detector import ObjectDetector
from picture_spool import PictureSpool
from shown_samples import grids_of, samples_of
from training_curve import training_curve
from verdict import verdict_of

from fondant_spec.component import RowContext, SetupContext, WriteComponent
from fondant_spec.dataset import storage
from fondant_spec.dataset.written_files import MARK
from fondant_spec.executor import execute
from image_toolkit.evaluation.standard_look import QUALITY
from image_toolkit.models.embedding.embedders import image_encoder, text_encoder
from image_toolkit.models.embedding.embedding_stream import Embedder
from image_toolkit.models.embedding.zero_shot import ZeroShot, check_labels, vectors_by_id
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
        # In fp32, so that no figure depends on what went to the model beside an image.
        options: dict[str, Any] = {"device": settings.device, "precision": "fp32"}
        most = settings.batch_size
        self._images = Embedder(partial(image_encoder, model, revision), most=most, **options)
        self._texts = Embedder(partial(text_encoder, model, revision), most=most, **options)
        self._spools: list[PictureSpool] = []

    def setup(self, context: SetupContext) -> None:
        """Load the models, once the target is known to be free.

        Raises:
            StorageError: the target holds somebody else's files, or some that were changed.
            InputDataError: a model, or what a training step says, cannot be had.
        """
        settings = self._settings
        self._target = self._output_path or context.output_directory
        # In the step's own folder, what a stopped run left, without a mark, makes way by itself.
        if self._output_path or storage.exists(storage.join(self._target, MARK)):
            check_replaceable(self._target)
        self._made_by = context.cache_key
        self._training = training_curve(context.manifests)
        fields = context.input_fields
        self._grid_made_by = fields[GRID].metadata if GRID in fields else {}
        self._side = settings.resolution or smallest_side(fields, context.manifests)
        self._images.load()
        self._texts.load()
        self._classes = ZeroShot(
            settings.labels, settings.label_prompt, self._texts, "evaluate_images"
        )
        self._detector = None
        if settings.detector is not None:
            options = settings.detector_threshold, settings.device
            self._detector = ObjectDetector(settings.detector, settings.detector_revision, *options)

    def teardown(self) -> None:
        """Stop what prepares images and texts, and let the pictures go."""
        self._images.close()
        self._texts.close()
        for spool in self._spools:
            spool.close()

    def write(self, batches: Iterator[pa.RecordBatch], context: RowContext) -> list[str]:
        """Write the report, and return what tells that it is there.

        Raises:
            InputDataError: there is too little to compare.
        """
        pictures, looks = PictureSpool(), None
        self._spools = [pictures]
        if self._settings.inception_weights is not None:
            looks = PictureSpool()
            self._spools.append(looks)
        reader = ImageReader(self._images, self._side, self._detector, pictures, looks)
        gathered = reader.read(batches, context.rejects)
        compared = compared_sets(gathered, self._settings.seed)
        report = self._report(gathered, compared, looks)
        shown = Shown(
            samples_of(gathered, compared, self._settings.samples_shown),
            grids_of(gathered, reader.grids, self._grid_made_by),
            pictures.address,
        )
        mark: dict[str, Any] = {"verdict": report.verdict.kind, "cache_key": self._made_by}
        with published(self._target, mark) as folder:
            folder.write(PAGE, page_of(report, shown).encode())
            folder.write(FIGURES, as_json(report, _DIGITS).encode())
        logger.info("%s %s", report.verdict.sentence, report.verdict.figures)
        for warning in report.warnings:
            logger.warning("%s", warning)
        return [storage.join(self._target, name) for name in (MARK, PAGE, FIGURES)]

    def _report(self, gathered: Gathered, compared: Compared, looks: PictureSpool | None) -> Report:
        settings = self._settings
        prompts = self._prompts(gathered, compared)
        lots = settings.seed, settings.resamples
        figures = figures_of(gathered, compared, prompts, self._classes.names, lots)
        warnings = warnings_of(gathered, compared)
        if not prompts:
            warnings.append("The samples have no caption, so there is no CLIP score.")
        if not figures.copies:
            warnings.append("No row was trained on, so nothing can be said of copies.")
        inception = None
        if looks is not None:
            inception = self._inception(compared, looks)
            few = few_images_warning(min(len(compared.originals), len(compared.base)))
            warnings += [few] if few else []
        return Report(
            verdict=verdict_of(figures, compared),
            warnings=warnings,
            images=_counts(gathered, compared),
            settings=self._told(),
            figures=figures,
            inception=inception,
            training=self._training,
        )

    def _prompts(self, gathered: Gathered, compared: Compared) -> dict[str, Vectors]:
        """Return the vectors of the samples' captions, of those that are not blank."""
        rows = [(row_id, gathered.rows[row_id].caption) for row_id in compared.base.ids]
        told = [(row_id, caption) for row_id, caption in rows if caption is not None]
        return dict(vectors_by_id(self._texts, told))

    def _inception(self, compared: Compared, looks: PictureSpool) -> dict[str, InceptionScores]:
        weights, seed = str(self._settings.inception_weights), self._settings.seed
        originals, base, tuned = (
            [one.name(place) for place in range(len(one))]
            for one in (compared.originals, compared.base, compared.tuned)
        )
        return {
            name: inception_scores(originals, generated, looks.read, weights, seed)
            for name, generated in (("base", base), ("tuned", tuned))
        }

    def _told(self) -> dict[str, Any]:
        """Return with what was measured."""
        told = self._images.metadata("image")
        detector = self._detector
        return {
            "clip_model_id": told["model_id"],
            "clip_revision": told["revision"],
            "precision": told["precision"],
            "resolution": self._side,
            "codec": f"JPEG {QUALITY}, the middle square, bicubic",
            "labels": list(self._classes.labels),
            "label_prompt": self._settings.label_prompt,
            "crops": "whole" if detector is None else detector.name,
            "crops_revision": None if detector is None else detector.revision,
            "resamples": self._settings.resamples,
            "seed": self._settings.seed,
        }


def _counts(gathered: Gathered, compared: Compared) -> dict[str, int]:
    return {
        "samples": len(gathered.base),
        "held_out": len(gathered.held_out),
        "training": len(gathered.training),
        "compared_pairs": len(compared.base),
        "compared_originals": len(compared.originals),
    }


if __name__ == "__main__":
    execute(EvaluateImages)
