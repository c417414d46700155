"""An untrained Stable Diffusion of the real architecture, hundreds of times smaller.

Its text encoder is that of the demo's tiny CLIP, as the real one's is that of a CLIP.
"""

from demo.diffusion_classes import (
    AutoencoderKL,
    CLIPTextModel,
    CLIPTokenizer,
    DDIMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from demo.tiny_models import CLIP_FOLDER, TOWER

IMAGE_SIZE = 64  # pixels a side
LATENT_CHANNELS = 4
_GROUPS = 8


def make_vae() -> AutoencoderKL:
    """Return an untrained VAE: images of (3, 64, 64) to latents of (4, 16, 16), and back."""
    channels = (16, 32, 64)
    return AutoencoderKL(
        latent_channels=LATENT_CHANNELS,
        block_out_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        layers_per_block=1,
        norm_num_groups=_GROUPS,
        sample_size=IMAGE_SIZE,
    )


def make_unet() -> UNet2DConditionModel:
    """Return an untrained UNet for latents of (4, 16, 16) and texts of (77, 128)."""
    return UNet2DConditionModel(
        sample_size=IMAGE_SIZE // 4,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(32, 64, 96),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=_GROUPS,
        attention_head_dim=_GROUPS,
        cross_attention_dim=TOWER["hidden_size"],
    )


def make_pipeline(vae: AutoencoderKL, unet: UNet2DConditionModel) -> StableDiffusionPipeline:
    """Return the whole model, with the noise schedule of Stable Diffusion 1."""
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=CLIPTextModel.from_pretrained(CLIP_FOLDER),
        tokenizer=CLIPTokenizer.from_pretrained(CLIP_FOLDER),
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
