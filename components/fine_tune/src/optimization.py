"""From gradients to weights: AdamW, a learning rate schedule, and gradient clipping."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from tuning_settings import OptimizerSettings


class Optimization:
    """Updates weights, on one device or identically on several.

    `accelerator` is accelerate's; each process adds its share of a step's gradient.
    """

    def __init__(
        self,
        accelerator: Any,
        parameters: Sequence[torch.nn.Parameter],
        settings: OptimizerSettings,
        steps: int,
    ) -> None:
        from diffusers.optimization import get_scheduler  # noqa: PLC0415 - after torch was prepared

        optimizer = torch.optim.AdamW(
            parameters,
            lr=settings.learning_rate,
            betas=(settings.adam_beta1, settings.adam_beta2),
            weight_decay=settings.adam_weight_decay,
            eps=settings.adam_epsilon,
        )
        self._course = get_scheduler(
            settings.lr_scheduler,
            optimizer=optimizer,
            num_warmup_steps=settings.lr_warmup_steps,
            num_training_steps=steps,
        )
        self._accelerator = accelerator
        self._optimizer = accelerator.prepare_optimizer(optimizer)
        self._parameters = parameters
        self._max_norm = settings.max_grad_norm

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return float(self._course.get_last_lr()[0])

    def backward(self, loss: torch.Tensor) -> None:
        """Add the gradient of a share of a step's loss."""
        self._accelerator.backward(loss)

    def forget(self) -> None:
        """Reset the gradient."""
        self._optimizer.zero_grad()

    def step(self) -> bool:
        """Update the weights; return whether that was possible: not if the gradient is not finite.

        This happens in fp16: then the step is skipped, and the loss scale of the next one reduced.
        """
        self._add_up()
        norm = self._accelerator.clip_grad_norm_(self._parameters, self._max_norm)
        scaled = self._accelerator.scaler is not None
        if not scaled and not math.isfinite(float(norm)):
            return False
        self._optimizer.step()
        if not (scaled and self._optimizer.step_was_skipped):
            self._course.step()
        self.forget()
        return True

    def state(self) -> dict[str, Any]:
        """Return the complete state that the next steps depend on."""
        scaler = self._accelerator.scaler
        return {
            "optimizer": self._optimizer.state_dict(),
            "course": self._course.state_dict(),
            "scaler": scaler.state_dict() if scaler is not None else None,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore the state that `state` returned."""
        self._optimizer.load_state_dict(state["optimizer"])
        self._course.load_state_dict(state["course"])
        if state["scaler"] is not None:
            self._accelerator.scaler.load_state_dict(state["scaler"])

    def _add_up(self) -> None:
        """Sum the gradients over all processes."""
        if self._accelerator.num_processes == 1:
            return
        for one in self._parameters:
            share = torch.zeros_like(one) if one.grad is None else one.grad
            one.grad = self._accelerator.reduce(share, "sum")
