"""Writing a LoRA in two formats: that of diffusers, and that of kohya's scripts."""

from pathlib import Path
from typing import Any, Final

import torch
from base_model import VELOCITY, BaseModel
from tensor_store import write_tensors

from image_toolkit.diffusion.lora import LORA_FILE

KOHYA: Final = "kohya_lora.safetensors"
_KOHYA_BASES: Final = {"1": "sd_v1", "2": "sd_v2", "xl": "sdxl_base_v1-0"}


def write_lora(base: BaseModel, unet: Any, rank: int, folder: Path) -> list[str]:
    """Write the LoRA of a UNet, and return the names of the files.

    ComfyUI and similar programs load either. The scale is 1: alpha equals the rank.
    """
    from diffusers.utils import (  # noqa: PLC0415 - after torch was prepared
        convert_state_dict_to_diffusers,
        convert_state_dict_to_kohya,
    )
    from peft.utils import get_peft_model_state_dict  # noqa: PLC0415

    weights = get_peft_model_state_dict(unet)
    type(base.pipeline).save_lora_weights(
        folder, unet_lora_layers=convert_state_dict_to_diffusers(weights), safe_serialization=True
    )
    layers = {f"unet.{name}": weight for name, weight in weights.items()}
    kohya: dict[str, torch.Tensor] = convert_state_dict_to_kohya(layers)
    write_tensors(folder / KOHYA, kohya, _about(base, rank))
    return [LORA_FILE, KOHYA]


def _about(base: BaseModel, rank: int) -> dict[str, str]:
    """Return the metadata that kohya's scripts write with a LoRA."""
    return {
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(rank),
        "ss_network_alpha": str(rank),
        "ss_base_model_version": _KOHYA_BASES[base.generation],
        "ss_v2": str(base.generation == "2"),
        "modelspec.prediction_type": "v" if base.prediction_type == VELOCITY else "epsilon",
    }
