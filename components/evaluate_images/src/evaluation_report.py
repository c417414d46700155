"""All that the report tells, on the page and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluation_figures import Figures
from inception_scores import InceptionScores
from training_curve import TrainingCurve
from verdict import Verdict


@dataclass(frozen=True)
class Report:
    """What an evaluation found. What could not be measured is None.

    Attributes:
        verdict: Whether the dataset helped.
        warnings: What makes the figures weaker than they look, and what was left out.
        images: How many there are of each set, and how many of them were compared.
        settings: With what it was measured.
        figures: All figures on vectors of CLIP, and on what these show.
        inception: KID and FID, by model.
        training: How the training went.
    """

    verdict: Verdict
    warnings: Sequence[str]
    images: Mapping[str, int]
    settings: Mapping[str, Any]
    figures: Figures
    inception: Mapping[str, InceptionScores] | None
    training: TrainingCurve | None
