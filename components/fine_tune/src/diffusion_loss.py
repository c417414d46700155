"""The loss per example: the error of the predicted noise, or velocity."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from base_model import EPSILON, VELOCITY
from latent_encoder import LatentEncoder
from seen_examples import Example
from text_vectors import POOLED, TEXT
from torch.nn.functional import mse_loss

Precisely = Callable[[], AbstractContextManager[Any]]
"""Opens the context that a model runs in."""


class DiffusionLoss:
    """The loss of a UNet, as in diffusers' training scripts.

    Args:
        unet: on the device.
        schedule: of the noise.
        encoder: encodes pixels to latents, where latents are not cached.
        dtype: of the UNet's inputs.
        precisely: opens the context that the UNet runs in.
        snr_gamma: weights timesteps by their signal-to-noise ratio, capped at this: see Hang et
            al., "Efficient Diffusion Training via Min-SNR Weighting Strategy", 3.4.
    """

    def __init__(
        self,
        unet: Any,
        schedule: Any,
        encoder: LatentEncoder,
        dtype: torch.dtype,
        precisely: Precisely,
        snr_gamma: float | None,
    ) -> None:
        self._unet = unet
        self._schedule = schedule
        self._encoder = encoder
        self._dtype = dtype
        self._precisely = precisely
        self._snr_gamma = snr_gamma

    def __call__(self, examples: Sequence[Example], *, weighted: bool = True) -> torch.Tensor:
        """Return the losses of examples of one size, of shape (examples,)."""
        device = self._unet.device
        latents = self._latents(examples, device)
        noise = torch.stack([one.noise for one in examples]).to(device)
        timesteps = torch.tensor([one.timestep for one in examples], device=device)
        noisy = self._schedule.add_noise(latents, noise, timesteps).to(self._dtype)
        told = self._told(examples, device)
        text = _stacked(examples, TEXT).to(device, self._dtype)
        with self._precisely():
            made = self._unet(noisy, timesteps, text, added_cond_kwargs=told).sample
        target = noise
        if self._schedule.config.prediction_type == VELOCITY:
            target = self._schedule.get_velocity(latents, noise, timesteps)
        losses = mse_loss(made.float(), target.float(), reduction="none").mean(dim=(1, 2, 3))
        return losses * self._weights(timesteps) if weighted else losses

    def _latents(self, examples: Sequence[Example], device: torch.device) -> torch.Tensor:
        windows = [one.window for one in examples if one.window is not None]
        encoded = iter(self._encoder.moments(windows) if windows else ())
        moments = [
            next(encoded) if one.moments is None else one.moments.to(device) for one in examples
        ]
        spread = torch.stack([one.spread for one in examples]).to(device)
        return self._encoder.latents(torch.stack(moments), spread)

    def _told(self, examples: Sequence[Example], device: torch.device) -> Any:
        """Return the additional conditioning of Stable Diffusion XL."""
        if POOLED not in examples[0].conditions:
            return None
        places = torch.tensor([one.place for one in examples], device=device, dtype=torch.float32)
        return {
            "text_embeds": _stacked(examples, POOLED).to(device, self._dtype),
            "time_ids": places,
        }

    def _weights(self, timesteps: torch.Tensor) -> torch.Tensor:
        if self._snr_gamma is None:
            return torch.ones_like(timesteps, dtype=torch.float32)
        from diffusers.training_utils import compute_snr  # noqa: PLC0415 - after torch was prepared

        ratio = compute_snr(self._schedule, timesteps)
        unit = ratio if self._schedule.config.prediction_type == EPSILON else ratio + 1
        return ratio.clamp(max=self._snr_gamma) / unit


def _stacked(examples: Sequence[Example], name: str) -> torch.Tensor:
    return torch.stack([one.conditions[name] for one in examples])
