"""How fast training goes, how long it will, and how much memory it takes: told at a steady pace."""

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
"""Steps over which the loss that is told is the mean: that of one step says little."""


class Pace:
    """Counts images and seconds of all steps, those before an interruption too."""

    def __init__(self, steps: int) -> None:
        self.seconds = 0.0
        self.images = 0
        self._steps = steps
        self._told = float("-inf")

    @property
    def images_per_second(self) -> float:
        """Images a second, without the looks at held-out ones."""
        return self.images / self.seconds if self.seconds else 0.0

    def advance(self, images: int, seconds: float) -> None:
        """Count a step."""
        self.images += images
        self.seconds += seconds

    def tell(self, trained: Trained, epoch: int, curve: LossCurve) -> None:
        """Log how it goes, if it was not told a moment ago."""
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
        """Log what came of the held-out images."""
        logger.info(
            "epoch %d, step %s: validation loss %.4f", look.epoch, f"{look.step:,}", look.loss
        )

    def to_json(self) -> dict[str, Any]:
        """Return what was counted."""
        return {"seconds": self.seconds, "images": self.images}

    def resume(self, told: Mapping[str, Any], step: int) -> None:
        """Count on from what `to_json` returned."""
        self.seconds, self.images = told["seconds"], told["images"]
        logger.info("Going on after step %s/%s.", f"{step:,}", f"{self._steps:,}")


def peak_memory() -> int:
    """Return the most bytes that were taken so far: of the GPU, or else of this process."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return int(torch.cuda.max_memory_reserved())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
