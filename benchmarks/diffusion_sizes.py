"""Stable Diffusion 1.5 and XL in their real sizes, with random weights."""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

import demo


def make_sd15(folder: Path) -> Path:
    """Save a model of the size of Stable Diffusion 1.5: 860 million weights in its UNet."""
    tokenizer = CLIPTokenizer.from_pretrained(demo.CLIP_FOLDER)
    with torch.device(_device()):
        pipeline = StableDiffusionPipeline(
            vae=_vae(512),
            text_encoder=CLIPTextModel(_text_config(768, 12, 12)),
            tokenizer=tokenizer,
            unet=UNet2DConditionModel(sample_size=64, cross_attention_dim=768),
            scheduler=_scheduler(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    return _saved(pipeline, folder)


def make_sdxl(folder: Path) -> Path:
    """Save a model of the size of Stable Diffusion XL: 2.6 billion weights in its UNet."""
    tokenizer = CLIPTokenizer.from_pretrained(demo.CLIP_FOLDER)
    with torch.device(_device()):
        pipeline = StableDiffusionXLPipeline(
            vae=_vae(1024),
            text_encoder=CLIPTextModel(_text_config(768, 12, 12)),
            text_encoder_2=CLIPTextModelWithProjection(_text_config(1280, 32, 20)),
            tokenizer=tokenizer,
            tokenizer_2=tokenizer,
            unet=_large_unet(),
            scheduler=_scheduler(),
            add_watermarker=False,
        )
    return _saved(pipeline, folder)


def _large_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=128,
        block_out_channels=(320, 640, 1280),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2, 10),
        attention_head_dim=(5, 10, 20),
        cross_attention_dim=2048,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=2816,
    )


def _vae(side: int) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=4,
        sample_size=side,
    )


def _text_config(width: int, layers: int, heads: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        projection_dim=width,
    )


def _scheduler() -> DDIMScheduler:
    return DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _saved(pipeline: Any, folder: Path) -> Path:
    """Save a pipeline in fp16, to save disk space."""
    pipeline.to(dtype=torch.float16).save_pretrained(folder)
    if torch.cuda.is_available():
        del pipeline
        torch.cuda.empty_cache()
    return folder
