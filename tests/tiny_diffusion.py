"""Untrained Stable Diffusion pipelines of the real classes, some ten thousand times smaller."""

# ruff: noqa: E402 - transformers imports torchvision, which can be imported once torch is prepared

from pathlib import Path

import torch

from image_toolkit.models.runtime.torch_setup import prepare_torch

prepare_torch()

from diffusers import (
    AutoencoderKL,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from demo.tiny_models import make_clip

SIDE = 32
"""Pixels a side of what they draw, unless asked for more."""

_WIDTH = 32
_KOHYA = {"lora_A": "lora_down", "lora_B": "lora_up"}
_WORDS = ["a photo of a red cat", "a drawing of a blue dog"]


def make_stable_diffusion(folder: Path, seed: int = 0) -> Path:
    """Save a Stable Diffusion 1.x pipeline."""
    torch.manual_seed(seed)
    tokenizer = make_clip(_WORDS)[1].tokenizer
    pipeline = StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=CLIPTextModel(_text_config(tokenizer)).eval(),
        tokenizer=tokenizer,
        unet=_unet(_WIDTH),
        scheduler=_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    return folder


def make_stable_diffusion_xl(folder: Path, seed: int = 0) -> Path:
    """Save an SDXL pipeline: two text encoders, and sizes that its UNet is told."""
    torch.manual_seed(seed)
    tokenizer = make_clip(_WORDS)[1].tokenizer
    ids = 6 * 8
    pipeline = StableDiffusionXLPipeline(
        vae=_vae(),
        text_encoder=CLIPTextModel(_text_config(tokenizer)).eval(),
        text_encoder_2=CLIPTextModelWithProjection(_text_config(tokenizer)).eval(),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=_unet(
            2 * _WIDTH,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=_WIDTH + ids,
        ),
        scheduler=_scheduler(),
        add_watermarker=False,
    )
    pipeline.save_pretrained(folder)
    return folder


def save_lora(base: Path, folder: Path, *, strength: float = 0.5, seed: int = 1) -> Path:
    """Save a LoRA in diffusers' layout that changes what the UNet and the text encoder make."""
    generator = torch.Generator().manual_seed(seed)
    unet = UNet2DConditionModel.from_pretrained(base, subfolder="unet")
    sizes = {
        f"unet.{name}": (layer.in_features, layer.out_features)
        for name, layer in unet.named_modules()
        if name.endswith(("to_q", "to_k", "to_v"))
    }
    attention = "text_encoder.text_model.encoder.layers.0.self_attn"
    names = ("q_proj", "k_proj", "v_proj", "out_proj")
    sizes |= {f"{attention}.{name}": (_WIDTH, _WIDTH) for name in names}
    made: dict[str, torch.Tensor] = {}
    for name, (read, written) in sizes.items():
        down = torch.randn(2, read, generator=generator)
        up = torch.randn(written, 2, generator=generator)
        made |= {f"{name}.lora_A.weight": strength * down, f"{name}.lora_B.weight": strength * up}
    folder.mkdir()
    save_file(made, folder / "pytorch_lora_weights.safetensors")
    return folder


def save_kohya_lora(lora: Path, folder: Path) -> Path:
    """Save a LoRA of diffusers' layout in kohya's, in which a layer's name has no dots."""
    folder.mkdir()
    made: dict[str, torch.Tensor] = {}
    for name, weight in load_file(lora / "pytorch_lora_weights.safetensors").items():
        layer, kind, _ = name.rsplit(".", 2)
        flat = layer.replace("unet", "lora_unet").replace("text_encoder", "lora_te")
        flat = flat.replace(".", "_")
        made[f"{flat}.{_KOHYA[kind]}.weight"] = weight
        made[f"{flat}.alpha"] = torch.tensor(2.0)
    save_file(made, folder / "mine.safetensors")
    return folder


def _text_config(tokenizer: CLIPTokenizer) -> CLIPTextConfig:
    return CLIPTextConfig(
        hidden_size=_WIDTH,
        intermediate_size=2 * _WIDTH,
        num_hidden_layers=1,
        num_attention_heads=4,
        projection_dim=_WIDTH,
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _unet(read: int, **options: object) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=SIDE // 2,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=read,
        attention_head_dim=8,
        norm_num_groups=8,
        **options,
    )


def _vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(16, 32),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=SIDE,
    )


def _scheduler() -> PNDMScheduler:
    return PNDMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        steps_offset=1,
        skip_prk_steps=True,
    )
