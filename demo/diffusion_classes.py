"""The `diffusers` classes that the demo uses, imported after torch has been set up for them."""
# ruff: noqa: E402 - see `prepare_torch`

from image_toolkit.models.runtime.torch_setup import prepare_torch

prepare_torch()

from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextModel, CLIPTokenizer

__all__ = [
    "AutoencoderKL",
    "CLIPTextModel",
    "CLIPTokenizer",
    "DDIMScheduler",
    "StableDiffusionPipeline",
    "UNet2DConditionModel",
]
