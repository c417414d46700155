"""The loss on held-out images with fixed noise: a curve free of sampling noise."""

import math
from collections.abc import Sequence
from typing import Any, Final

import torch
from diffusion_loss import DiffusionLoss
from memory_fit import MemoryFit
from seen_examples import ExampleMaker
from training_set import Sample

STRATA: Final = 4
"""Timesteps evaluated per image: the midpoints of this many equal intervals."""


class HeldOutLoss:
    """The mean loss over held-out images, each at a few fixed timesteps, unweighted.

    Processes that train together evaluate a share of them each.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        maker: ExampleMaker,
        loss: DiffusionLoss,
        fit: MemoryFit,
        accelerator: Any,
    ) -> None:
        self._samples = samples
        self._fit = fit
        self._maker = maker
        self._loss = loss
        self._accelerator = accelerator
        steps = maker.timesteps
        self._timesteps = [steps * (2 * part + 1) // (2 * STRATA) for part in range(STRATA)]

    def now(self) -> float:
        """Return the loss of the model in its current state."""
        first, together = self._accelerator.process_index, self._accelerator.num_processes
        mine = range(first, len(self._samples), together)
        with torch.no_grad():
            losses = [self._of(number, self._samples[number]) for number in mine]
            total = torch.tensor(math.fsum(losses), device=self._accelerator.device)
        return float(self._accelerator.reduce(total, "sum")) / len(self._samples)

    def _of(self, number: int, sample: Sample) -> float:
        examples = self._maker.held_out(number, sample, self._timesteps)

        def attempt() -> float:
            pieces = self._fit.pieces(examples)
            return math.fsum(float(self._loss(piece, weighted=False).sum()) for piece in pieces)

        return self._fit.run(attempt) / len(examples)
