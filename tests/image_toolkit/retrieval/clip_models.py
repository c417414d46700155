"""A second CLIP model of the demo's shape, which differs from it only in its weights."""

# ruff: noqa: E402 - transformers imports torchvision, which can be imported once torch is prepared

import shutil
from pathlib import Path

import torch

from image_toolkit.models.runtime.torch_setup import prepare_torch

prepare_torch()

from transformers import CLIPConfig, CLIPModel

from demo.tiny_models import CLIP_FOLDER


def another_clip(folder: Path) -> Path:
    """Write a model of the demo's files, with other weights, into a folder; return it."""
    shutil.copytree(CLIP_FOLDER, folder)
    torch.manual_seed(1)
    CLIPModel(CLIPConfig.from_pretrained(CLIP_FOLDER)).save_pretrained(folder)
    return folder
