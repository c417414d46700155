"""What makes the whole pipeline run offline: photographs, a collection, tiny models, a host."""

from pathlib import Path
from typing import Final

MODELS: Final = Path(__file__).parent / "models"
CLIP_FOLDER: Final = MODELS / "clip"
BLIP_FOLDER: Final = MODELS / "blip"
DIFFUSION_FOLDER: Final = MODELS / "diffusion"

NEW_SUBJECT: Final = "cat"
"""What the tiny Stable Diffusion has never seen, and is fine-tuned to draw."""
