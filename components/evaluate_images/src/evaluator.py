"""From all images to the report: the figures, and their interpretation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from brief_numbers import counted
from compared_sets import Compared, warnings_of
from evaluation_figures import Figures, figures_of
from evaluation_report import Report
from evaluation_settings import EvaluationSettings
from gathered import Gathered, Vectors
from inception_scores import InceptionScores, few_images_warning, inception_scores
from object_detector import ObjectDetector
from picture_spool import PictureSpool
from training_curve import TrainingCurve
from verdict import verdict_of

from image_toolkit.evaluation.standard_look import QUALITY
from image_toolkit.models.embedding.embedding_stream import Embedder
from image_toolkit.models.embedding.zero_shot import ZeroShot, vectors_by_id


@dataclass(frozen=True)
class Evaluator:
    """Computes the figures and builds the report.

    Attributes:
        settings: the arguments of the step.
        images: embeds images.
        texts: embeds prompts, in the same space.
        classes: classifies images.
        detector: finds objects in images, if configured.
        side: of the images as they are compared, in pixels.
        training: the course of the training of the tuned model.
        unlike: differences between the settings of the two models' images.
    """

    settings: EvaluationSettings
    images: Embedder
    texts: Embedder
    classes: ZeroShot
    detector: ObjectDetector | None
    side: int
    training: TrainingCurve | None
    unlike: Sequence[str] = ()

    def report(self, gathered: Gathered, compared: Compared, looks: PictureSpool | None) -> Report:
        """Return the report; `looks` has all images if KID and FID are requested.

        Raises:
            InputDataError: a detector found nothing, or Inception's weights cannot be read.
        """
        prompts = self._prompts(gathered, compared)
        lots = self.settings.seed, self.settings.resamples
        figures = figures_of(gathered, compared, prompts, self.classes.names, lots)
        inception = None if looks is None else self._inception(compared, looks)
        warnings = [*self.unlike, *warnings_of(gathered, compared)]
        warnings += self._lacks(gathered, compared, figures)
        if inception is not None:
            few = few_images_warning(min(len(compared.originals), len(compared.base)))
            warnings += [few] if few else []
        return Report(
            verdict=verdict_of(figures, compared),
            warnings=warnings,
            images=_counts(gathered, compared),
            settings=self._told(),
            figures=figures,
            inception=inception,
            training=self.training,
        )

    def _prompts(self, gathered: Gathered, compared: Compared) -> dict[str, Vectors]:
        """Return the vectors of the samples' non-blank captions."""
        rows = [(row_id, gathered.rows[row_id].caption) for row_id in compared.base.ids]
        told = [(row_id, caption) for row_id, caption in rows if caption is not None]
        return dict(vectors_by_id(self.texts, told))

    def _lacks(self, gathered: Gathered, compared: Compared, figures: Figures) -> Iterator[str]:
        """Yield what could not be measured, and why."""
        pairs = len(compared.base)
        prompts = 0 if figures.clip_score is None else figures.clip_score.pairs
        if not prompts:
            yield "The samples have no caption, so there is no CLIP score."
        elif prompts < pairs:
            without = counted(pairs - prompts, "sample has", "samples have")
            yield f"{without} no caption, and no part in the CLIP score."
        asked = [gathered.rows[row_id].asked for row_id in compared.base.ids]
        unknown = sum(label not in self.classes.labels for label in asked if label)
        if unknown:
            said = counted(unknown, "sample asks", "samples ask")
            yield f"{said} for a class that is not one of `labels`: no image counts as that."
        if not figures.copies:
            yield "No row was trained on, so nothing can be said of copies."

    def _inception(self, compared: Compared, looks: PictureSpool) -> dict[str, InceptionScores]:
        weights, seed = str(self.settings.inception_weights), self.settings.seed
        originals, base, tuned = (
            [one.name(place) for place in range(len(one))]
            for one in (compared.originals, compared.base, compared.tuned)
        )
        return {
            name: inception_scores(originals, generated, looks.read, weights, seed)
            for name, generated in (("base", base), ("tuned", tuned))
        }

    def _told(self) -> dict[str, Any]:
        """Return the settings of the measurement."""
        told = self.images.metadata("image")
        detector = self.detector
        return {
            "clip_model_id": told["model_id"],
            "clip_revision": told["revision"],
            "precision": told["precision"],
            "resolution": self.side,
            "codec": f"JPEG {QUALITY}, the middle square, bicubic",
            "labels": list(self.classes.labels),
            "label_prompt": self.settings.label_prompt,
            "crops": "whole" if detector is None else detector.name,
            "crops_revision": None if detector is None else detector.revision,
            "resamples": self.settings.resamples,
            "seed": self.settings.seed,
        }


def _counts(gathered: Gathered, compared: Compared) -> dict[str, int]:
    return {
        "samples": len(gathered.base),
        "held_out": len(gathered.held_out),
        "training": len(gathered.training),
        "compared_pairs": len(compared.base),
        "compared_originals": len(compared.originals),
    }
