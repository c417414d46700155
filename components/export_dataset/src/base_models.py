"""The models that are fine-tuned: what a trainer's configuration has to know of each."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class BaseModel:
    """A model to fine-tune: its name, the side in pixels it trains at, and its id on the hub."""

    key: str
    name: str
    resolution: int
    hub_id: str


BASE_MODELS: Final = {
    model.key: model
    for model in (
        BaseModel("sd15", "SD 1.5", 512, "stable-diffusion-v1-5/stable-diffusion-v1-5"),
        BaseModel("sdxl", "SDXL", 1024, "stabilityai/stable-diffusion-xl-base-1.0"),
        BaseModel("flux", "FLUX.1 dev", 1024, "black-forest-labs/FLUX.1-dev"),
        BaseModel("flux2", "FLUX.2 dev", 1024, "black-forest-labs/FLUX.2-dev"),
    )
}
