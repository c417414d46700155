"""The losses of the training that made the tuned model."""

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
    """A fine-tuning step's record of its training; what it does not record is None.

    Attributes:
        step_id: of the step.
        base_model: The model it started from.
        method: `lora` or `full`.
        train: Steps and losses; averaged if there are many.
        validation: Likewise, on the held-out images.
        best_step: The step with the least validation loss.
        overfit_epoch: The epoch from which on it rose.
        steps: The number of steps.
        epochs: The number of passes over all images.
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
    """Return the curve of the nearest preceding training; None if there was none.

    Raises:
        InputDataError: its record cannot be read.
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
    """Return the pairs of step and loss that are numbers, reduced to as many as can be drawn."""
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
