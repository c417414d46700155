"""How the training went that made the tuned model: its losses."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import fmean
from typing import Any, Final

from image_toolkit.training.training_folder import training_before

_POINTS: Final = 300

Losses = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class TrainingCurve:
    """What a fine-tuning step says of its training; what it does not say is None.

    Attributes:
        step_id: of the step.
        base_model: What it began with.
        method: `lora` or `full`.
        train: Steps and losses; many are brought together to their means.
        validation: Likewise, of the held-out images.
        best_step: With the least loss on them.
        overfit_epoch: From which on that rose.
        steps: How many there were.
        epochs: And how many times all images were seen.
    """

    step_id: str
    base_model: str | None
    method: str | None
    train: Losses
    validation: Losses
    best_step: int | None
    overfit_epoch: float | None
    steps: int | None
    epochs: float | None


def training_curve(manifests: Iterable[str]) -> TrainingCurve | None:
    """Return how the nearest training before went; None where there was none.

    Raises:
        InputDataError: what it says cannot be read.
    """
    found = training_before(manifests)
    if found is None:
        return None
    told = found.told
    text = {name: str(told[name]) if told.get(name) else None for name in ("base_model", "method")}
    return TrainingCurve(
        step_id=found.step_id,
        **text,
        train=_losses(told.get("train_loss")),
        validation=_losses(told.get("validation_loss")),
        best_step=_number(told, "best_step"),
        overfit_epoch=_number(told, "overfit_epoch"),
        steps=_number(told, "steps"),
        epochs=_number(told, "epochs"),
    )


def _losses(told: Any) -> Losses:
    """Return pairs of step and loss, as many as can be drawn, of those that are numbers."""
    rows = told if isinstance(told, list) else []
    points = [(_number(row, "step"), _number(row, "loss")) for row in rows]
    whole = [(step, loss) for step, loss in points if step is not None and loss is not None]
    size = -(-len(whole) // _POINTS) or 1
    return tuple(_mean(whole[start : start + size]) for start in range(0, len(whole), size))


def _mean(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return points[-1][0], fmean(loss for _, loss in points)


def _number(told: Any, name: str) -> Any:
    value = told.get(name) if isinstance(told, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if isfinite(value) else None
