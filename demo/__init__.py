"""The offline demo: real photographs, a small web made from them, tiny models, and an image host.

`run` runs the whole pipeline on it; `finetune` fine-tunes a tiny Stable Diffusion; `curate`
measures deduplication and text detection. `photos`, `crops` and `collection` make the small web,
`host` serves it, `index` indexes it, and `prepare` makes whatever is missing. `train` trains the
tiny models.
"""

from pathlib import Path
from typing import Final

MODELS: Final = Path(__file__).parent / "models"
CLIP_FOLDER: Final = MODELS / "clip"
BLIP_FOLDER: Final = MODELS / "blip"
DIFFUSION_FOLDER: Final = MODELS / "diffusion"

NEW_SUBJECT: Final = "cat"
"""The subject that the tiny Stable Diffusion has never seen and is fine-tuned to generate."""
