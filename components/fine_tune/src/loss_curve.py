"""The loss by step and on held-out images, and the epoch from which it overfits."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

_RISEN: Final = 1.01
"""A held-out loss that ends above its minimum by this factor has risen."""

_LOOKS: Final = 2
"""In this many evaluations in a row."""


@dataclass(frozen=True)
class Trained:
    """The loss of a step, counted from 1."""

    step: int
    loss: float
    learning_rate: float


@dataclass(frozen=True)
class HeldOut:
    """The held-out loss after a step; step and epoch 0 are the base model's."""

    step: int
    epoch: int
    loss: float


@dataclass
class LossCurve:
    """All losses so far."""

    train: list[Trained] = field(default_factory=list)
    held_out: list[HeldOut] = field(default_factory=list)

    @property
    def best(self) -> HeldOut | None:
        """The evaluation with the least held-out loss; None if there are none."""
        return min(self.held_out, key=lambda look: look.loss, default=None)

    @property
    def overfit_epoch(self) -> int | None:
        """The first epoch evaluated after the best one, if the held-out loss has clearly risen."""
        best = self.best
        later = [look for look in self.held_out if best is not None and look.step > best.step]
        if best is None or len(later) < _LOOKS or later[-1].loss <= best.loss * _RISEN:
            return None
        return later[0].epoch

    def mean(self, last: int) -> float:
        """Return the mean loss of the last steps."""
        losses = [one.loss for one in self.train[-last:]]
        return math.fsum(losses) / len(losses) if losses else math.nan

    def to_json(self) -> dict[str, Any]:
        """Return both curves as JSON."""
        return {
            "train_loss": [asdict(one) for one in self.train],
            "validation_loss": [asdict(one) for one in self.held_out],
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "LossCurve":
        """Return the curves from the output of `to_json`."""
        return cls(
            [Trained(**one) for one in told["train_loss"]],
            [HeldOut(**one) for one in told["validation_loss"]],
        )
