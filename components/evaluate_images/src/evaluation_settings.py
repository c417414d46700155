"""The settings of an evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass

from image_toolkit.models.embedding.zero_shot import LABELS, PROMPT


@dataclass(frozen=True)
class EvaluationSettings:
    """The arguments that say what is compared, and how; see the spec."""

    clip_model_id: str = "openai/clip-vit-large-patch14"
    clip_revision: str | None = None
    resolution: int | None = None
    labels: Sequence[str] = LABELS
    label_prompt: str = PROMPT
    detector: str | None = None
    detector_revision: str | None = None
    detector_threshold: float = 0.5
    resamples: int = 1_000
    seed: int = 0
    samples_shown: int = 24
    inception_weights: str | None = None
    device: str = "auto"
    batch_size: int = 0
