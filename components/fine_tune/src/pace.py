"""Training speed, remaining time and memory use, logged at a steady interval."""

import logging
import resource
import time
from collections.abc import Mapping
from typing import Any, Final

import torch
from loss_curve import HeldOut, LossCurve, Trained

from fondant_spec.plain_words import duration, size
from fondant_spec.progress import SECONDS_BETWEEN_LINES

logger = logging.getLogger(__name__)

_SMOOTHED: Final = 20
"""The number of steps over which the logged loss is averaged, as single ones vary widely."""


class Pace:
    """Counts images and seconds of all steps, including those before an interruption."""

    def __init__(self, steps: int) -> None:
        self.seconds = 0.0
        self.images = 0
        self._steps = steps
        self._told = float("-inf")

    @property
    def images_per_second(self) -> float:
        """Images per second, excluding evaluations."""
        return self.images / self.seconds if self.seconds else 0.0

    def advance(self, images: int, seconds: float) -> None:
        """Count a step."""
        self.images += images
        self.seconds += seconds

    def tell(self, trained: Trained, epoch: int, curve: LossCurve) -> None:
        """Log the progress, unless it was logged a moment ago."""
        now = time.monotonic()
        if now - self._told < SECONDS_BETWEEN_LINES and trained.step < self._steps:
            return
        self._told = now
        left = (self._steps - trained.step) * self.seconds / trained.step
        logger.info(
            "step %s/%s, epoch %d, loss %.4f, learning rate %.3g, %.1f images/s, %s left, %s",
            f"{trained.step:,}",
            f"{self._steps:,}",
            epoch,
            curve.mean(_SMOOTHED),
            trained.learning_rate,
            self.images_per_second,
            duration(left),
            size(peak_memory()),
        )

    def tell_look(self, look: HeldOut) -> None:
        """Log a result on the held-out images."""
        logger.info(
            "epoch %d, step %s: validation loss %.4f", look.epoch, f"{look.step:,}", look.loss
        )

    def to_json(self) -> dict[str, Any]:
        """Return the counters."""
        return {"seconds": self.seconds, "images": self.images}

    def resume(self, told: Mapping[str, Any], step: int) -> None:
        """Continue counting from the output of `to_json`."""
        self.seconds, self.images = told["seconds"], told["images"]
        logger.info("Going on after step %s/%s.", f"{step:,}", f"{self._steps:,}")


def peak_memory() -> int:
    """Return the peak memory so far, in bytes: of the GPU, or else of this process."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return int(torch.cuda.max_memory_reserved())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
