"""Geometry of the charts: positions in percent, and points of lines."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from training_curve import Losses, TrainingCurve

from image_toolkit.evaluation.resampling import Figure

WIDTH: Final = 600
HEIGHT: Final = 200


@dataclass(frozen=True)
class Strip:
    """A figure on a line: all positions from 0 (left) to 100."""

    zero: float
    value: float
    interval: tuple[float, float]
    chance: tuple[float, float]


@dataclass(frozen=True)
class LossChart:
    """Two SVG lines over the steps, and the ends of the axes.

    `best` is the position of the step with the least validation loss.
    """

    train: str
    validation: Sequence[tuple[float, float]]
    steps: tuple[float, float]
    losses: tuple[float, float]
    best: float | None


def strip_of(figure: Figure, *, two_sided: bool) -> Strip | None:
    """Return the positions of a figure, its interval and its null; None if either is missing.

    With `two_sided`, the null extends as far below 0 as above.
    """
    if figure.interval is None or figure.null is None:
        return None
    least = -figure.null.p99 if two_sided else min(0.0, figure.null.mean)
    chance = (least, max(least, figure.null.p99))
    ends = (0.0, figure.value, figure.interval.low, figure.interval.high, *chance)
    low, high = min(ends), max(ends)
    margin = 0.04 * ((high - low) or 1.0)

    def place(value: float) -> float:
        return round(100 * (value - low + margin) / (high - low + 2 * margin), 2)

    return Strip(
        place(0),
        place(figure.value),
        (place(figure.interval.low), place(figure.interval.high)),
        (place(chance[0]), place(chance[1])),
    )


def loss_chart(curve: TrainingCurve) -> LossChart | None:
    """Return the losses as lines; None if there are none."""
    points = [*curve.train, *curve.validation]
    if not points:
        return None
    first, last = min(step for step, _ in points), max(step for step, _ in points)
    low, high = min(loss for _, loss in points), max(loss for _, loss in points)

    def across(step: float) -> float:
        return round(WIDTH * (step - first) / ((last - first) or 1), 1)

    def placed(losses: Losses) -> list[tuple[float, float]]:
        return [
            (across(step), round(HEIGHT * (high - loss) / ((high - low) or 1), 1))
            for step, loss in losses
        ]

    best = None if curve.best_step is None else across(curve.best_step)
    train = " ".join(f"{x},{y}" for x, y in placed(curve.train))
    return LossChart(train, placed(curve.validation), (first, last), (low, high), best)
