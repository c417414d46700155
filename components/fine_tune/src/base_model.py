"""The base model: a Stable Diffusion 1.x, 2.x or XL, checked and loaded."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import torch

from fondant_spec.errors import InputDataError
from image_toolkit.diffusion.pipeline_files import find_pipeline, read_index
from image_toolkit.diffusion.pretrained import load_pipeline
from image_toolkit.models.runtime.hub import ModelFiles

EPSILON: Final = "epsilon"
VELOCITY: Final = "v_prediction"
PLAIN: Final = "StableDiffusionPipeline"
XL: Final = "StableDiffusionXLPipeline"

_ON_HUB_DIGITS: Final = 40
_WIDTH_OF_2: Final = 1024
"""Vector size of the text encoder of Stable Diffusion 2.x; that of 1.x is 768."""


@dataclass(frozen=True)
class BaseModel:
    """A pipeline on the CPU, in fp32, and what training needs to know about it.

    `schedule` is the noise schedule, including the prediction type.
    """

    files: ModelFiles
    pipeline: Any
    schedule: Any

    @property
    def is_xl(self) -> bool:
        """Whether it is XL: it has two text encoders, and is conditioned on an image's crop."""
        return type(self.pipeline).__name__ == XL

    @property
    def generation(self) -> str:
        """The generation of Stable Diffusion: `1`, `2` or `xl`."""
        if self.is_xl:
            return "xl"
        return "2" if self.pipeline.unet.config.cross_attention_dim >= _WIDTH_OF_2 else "1"

    @property
    def prediction_type(self) -> str:
        """The model's prediction: `epsilon`, the noise, or `v_prediction`."""
        return str(self.schedule.config.prediction_type)

    @property
    def timesteps(self) -> int:
        """The number of timesteps."""
        return int(self.schedule.config.num_train_timesteps)

    @property
    def resolution(self) -> int:
        """The side of the images that it was trained on, in pixels."""
        return int(self.pipeline.unet.config.sample_size * self.pipeline.vae_scale_factor)

    @property
    def commit(self) -> str | None:
        """The commit on the hub; None for a local folder."""
        revision = self.files.revision
        return revision if len(revision) == _ON_HUB_DIGITS else None

    @cached_property
    def latent_shape(self) -> tuple[int, int]:
        """The number of latent channels, and the downscaling factor from pixels to latents."""
        return self.pipeline.vae.config.latent_channels, self.pipeline.vae_scale_factor


def load_base(model_id: str, revision: str | None, prediction_type: str | None) -> BaseModel:
    """Load a model for fine-tuning.

    Args:
        model_id: on the hub, or a folder.
        revision: on the hub.
        prediction_type: overrides the prediction type in the model's own configuration.

    Raises:
        InputDataError: it is not a Stable Diffusion 1.x, 2.x or XL, is not available, or its
            weights are pickled or incomplete.
    """
    files = find_pipeline(model_id, revision)
    index = read_index(files.folder)
    _check_class(files.name, index)
    pipeline = load_pipeline(files, torch.float32)
    from diffusers import DDPMScheduler  # noqa: PLC0415 - after torch was prepared

    told = {"prediction_type": prediction_type} if prediction_type else {}
    schedule = DDPMScheduler.from_config(pipeline.scheduler.config, **told)
    base = BaseModel(files, pipeline, schedule)
    base.latent_shape  # noqa: B018 - cached before the parts are released
    _check_parts(base)
    return base


def _check_class(name: str, index: Mapping[str, Any]) -> None:
    kind = index.get("_class_name")
    if kind not in (PLAIN, XL):
        msg = (
            f"Model {name!r} is a {kind}. fine_tune trains Stable Diffusion 1.x, 2.x and XL, which "
            f"are a {PLAIN} or {XL}: choose one of these, or export the dataset to the trainer of "
            "this model (see export_dataset)."
        )
        raise InputDataError(msg)


def _check_parts(base: BaseModel) -> None:
    """Reject a model with the architecture of Stable Diffusion, but another task."""
    unet, (channels, _) = base.pipeline.unet, base.latent_shape
    problem = None
    if unet.config.in_channels != channels:
        problem = f"takes {unet.config.in_channels} channels where its images have {channels}"
    elif base.prediction_type not in (EPSILON, VELOCITY):
        problem = f"predicts {base.prediction_type!r}, neither {EPSILON!r} nor {VELOCITY!r}"
    elif getattr(unet.config, "time_cond_proj_dim", None) is not None:
        problem = "is distilled for few steps, which training undoes"
    if problem:
        msg = f"Model {base.files.name!r} {problem}: choose a base model for text to image."
        raise InputDataError(msg)


def without(pipeline: Any, parts: tuple[str, ...]) -> None:
    """Release parts of a pipeline that are no longer needed, to free their memory."""
    pipeline.register_modules(**dict.fromkeys(parts))
