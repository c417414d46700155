"""The record of a training: `training.json`, which later steps read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from base_model import BaseModel
from loss_curve import LossCurve
from pace import Pace, peak_memory
from training_set import TrainingSet


@dataclass(frozen=True)
class TrainingRecord:
    """The result of a training.

    Attributes:
        base: the base model; `model_id` is its name in the arguments.
        arguments: of the step.
        samples: what it was trained on.
        curve: the losses.
        epochs: the number of epochs begun.
        pace: the training speed.
        device: the device and precision.
        batch_size: how many images went through the model at once at the end.
    """

    base: BaseModel
    model_id: str
    arguments: Mapping[str, Any]
    samples: TrainingSet
    curve: LossCurve
    epochs: int
    pace: Pace
    device: str
    batch_size: int

    @property
    def steps(self) -> int:
        """The number of steps taken."""
        return len(self.curve.train)

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file."""
        best = self.curve.best
        return {
            "base_model": self.model_id,
            "base_revision": self.base.files.revision,
            "method": self.arguments["method"],
            "arguments": dict(self.arguments),
            "prediction_type": self.base.prediction_type,
            **self.curve.to_json(),
            "best_step": best.step if best is not None else None,
            "overfit_epoch": self.curve.overfit_epoch,
            "rows": {split: len(some) for split, some in self.samples.samples.items()},
            "enlarged_images": self.samples.enlarged,
            "cut_captions": self.samples.cut,
            "steps": self.steps,
            "epochs": self.epochs,
            "seconds": round(self.pace.seconds, 3),
            "images_per_second": round(self.pace.images_per_second, 3),
            "peak_memory_bytes": peak_memory(),
            "device": self.device,
            "batch_size_in_memory": self.batch_size,
        }
