"""The `transformers` classes that the demo uses, imported after torch has been set up for them."""
# ruff: noqa: E402 - see `prepare_torch`

from image_toolkit.models.runtime.torch_setup import prepare_torch

prepare_torch()

from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipProcessor,
    CLIPConfig,
    CLIPModel,
    CLIPProcessor,
    CLIPTokenizer,
)
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

__all__ = [
    "BertTokenizer",
    "BlipConfig",
    "BlipForConditionalGeneration",
    "BlipImageProcessorPil",
    "BlipProcessor",
    "CLIPConfig",
    "CLIPImageProcessorPil",
    "CLIPModel",
    "CLIPProcessor",
    "CLIPTokenizer",
]
