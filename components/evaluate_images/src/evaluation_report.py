"""The content of the report, for the page and for JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluation_figures import Figures
from inception_scores import InceptionScores
from training_curve import TrainingCurve
from verdict import Verdict


@dataclass(frozen=True)
class Report:
    """The result of an evaluation. What could not be measured is None.

    Attributes:
        verdict: Whether the dataset helped.
        warnings: What weakens the figures, and what was left out.
        images: The number of images in each set, and how many of them were compared.
        settings: The settings of the measurement.
        figures: All figures based on CLIP vectors.
        inception: KID and FID, by model.
        training: The course of the training.
    """

    verdict: Verdict
    warnings: Sequence[str]
    images: Mapping[str, int]
    settings: Mapping[str, Any]
    figures: Figures
    inception: Mapping[str, InceptionScores] | None
    training: TrainingCurve | None
