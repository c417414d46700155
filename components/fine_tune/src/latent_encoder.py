"""Encoding pixels to latents: as a distribution, of which each use draws a sample."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from framing import Pixels


class LatentEncoder:
    """A pipeline's VAE. It runs in fp32: that of Stable Diffusion XL overflows in fp16."""

    def __init__(self, vae: Any, device: torch.device) -> None:
        self._vae = vae
        self._device = device

    def moments(self, windows: Sequence[Pixels]) -> torch.Tensor:
        """Return the mean and the log variance, for windows of one size.

        Returns:
            On the device, of shape (windows, 2 * channels, height, width).
        """
        self._vae.to(self._device)
        pixels = torch.from_numpy(np.stack(windows)).to(self._device).permute(0, 3, 1, 2)
        scaled = pixels.float() / 127.5 - 1
        with torch.no_grad():
            made: torch.Tensor = self._vae.encode(scaled).latent_dist.parameters
        return made

    def rest(self) -> None:
        """Move the VAE off the device until it is next used."""
        self._vae.to("cpu")

    def latents(self, moments: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Return latents sampled from the distributions with given noise, scaled for the UNet."""
        mean, spread = moments.chunk(2, dim=1)
        deviation = torch.exp(0.5 * spread.clamp(-30, 20))  # the bounds of diffusers
        scaled: torch.Tensor = (mean + deviation * noise) * self._vae.config.scaling_factor
        return scaled
