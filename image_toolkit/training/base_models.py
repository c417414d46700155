"""Models to fine-tune, with what a trainer's configuration needs to know about each."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class BaseModel:
    """A model to fine-tune.

    Attributes:
        resolution: The side in pixels that it is trained at.
        encoder: Its text encoder; see `text_budgets`.
        most_tokens: The number of tokens of a caption that the encoder reads.
        hub_id: Its id on the hub.
    """

    key: str
    name: str
    resolution: int
    encoder: str
    most_tokens: int
    hub_id: str


BASE_MODELS: Final = {
    model.key: model
    for model in (
        BaseModel("sd15", "SD 1.5", 512, "CLIP", 75, "stable-diffusion-v1-5/stable-diffusion-v1-5"),
        BaseModel("sdxl", "SDXL", 1024, "CLIP", 75, "stabilityai/stable-diffusion-xl-base-1.0"),
        BaseModel("flux", "FLUX.1 dev", 1024, "T5", 512, "black-forest-labs/FLUX.1-dev"),
        BaseModel("flux2", "FLUX.2 dev", 1024, "Mistral", 512, "black-forest-labs/FLUX.2-dev"),
    )
}
