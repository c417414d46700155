"""The model to generate with: a named one, or the one trained by an earlier step."""

import logging
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fondant_spec.errors import InputDataError, InvalidArgumentError
from image_toolkit.diffusion.lora import Lora, apply_lora, find_lora
from image_toolkit.diffusion.pipeline_files import find_pipeline
from image_toolkit.diffusion.pretrained import load_pipeline, place_pipeline
from image_toolkit.models.runtime.device import Placement
from image_toolkit.models.runtime.hub import ModelFiles
from image_toolkit.training.training_folder import TrainingFolder, training_before

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoundModel:
    """A model with local files, and a LoRA on top if there is one.

    `prediction_type` is the one that a LoRA was trained for, and overrides that of its base.
    """

    files: ModelFiles
    lora: Lora | None
    lora_scale: float
    trained_by: str | None = None
    prediction_type: str | None = None

    def load(self, placement: Placement) -> Any:
        """Load the pipeline of the model on a device."""
        pipeline = load_pipeline(self.files, placement.dtype)
        if self.prediction_type is not None:
            own = pipeline.scheduler
            pipeline.scheduler = type(own).from_config(
                own.config, prediction_type=self.prediction_type
            )
        if self.lora is not None:
            apply_lora(pipeline, self.lora, self.lora_scale, self.files.name)
        place_pipeline(self.files.name, pipeline, placement)
        return pipeline

    def metadata(self) -> dict[str, Any]:
        """Return the field metadata about the model."""
        told: dict[str, Any] = {"model_id": self.files.name, "revision": self.files.revision}
        if self.lora is not None:
            told["lora"] = {
                "name": self.lora.name,
                "revision": self.lora.revision,
                "digest": self.lora.digest,
                "scale": self.lora_scale,
            }
        return told | ({"trained_by": self.trained_by} if self.trained_by else {})


@dataclass(frozen=True)
class ImageModel:
    """The arguments that name the model."""

    model_id: str | None = None
    revision: str | None = None
    lora: str | None = None
    lora_revision: str | None = None
    lora_scale: float = 1.0

    def __post_init__(self) -> None:
        """Reject a revision without a model."""
        for name, of in (("revision", "model_id"), ("lora_revision", "lora")):
            if getattr(self, name) is not None and getattr(self, of) is None:
                msg = f"generate_images: {name} is given without {of}, which it is a revision of."
                raise InvalidArgumentError(msg)

    def find(self, manifests: Iterable[str], lasting: ExitStack) -> FoundModel:
        """Return the model with its files; downloads are kept until `lasting` is closed.

        Args:
            manifests: locations of the manifests that the step reads.
            lasting: closed at the end of the step.

        Raises:
            InvalidArgumentError: no model is named, and no earlier step trained one.
            InputDataError: the model or the LoRA is not available.
        """
        lora = None if self.lora is None else find_lora(self.lora, self.lora_revision)
        if self.model_id is not None:
            files = find_pipeline(self.model_id, self.revision)
            return FoundModel(files, lora, self.lora_scale)
        trained = training_before(manifests)
        if trained is None:
            msg = (
                "generate_images: no step before this one trained a model; name the model that is "
                "to draw as model_id."
            )
            raise InvalidArgumentError(msg)
        logger.info("Draws with what step %r trained: %s.", trained.step_id, trained.location)
        return self._trained(trained, lora, trained.local(lasting))

    def _trained(self, trained: TrainingFolder, lora: Lora | None, folder: Path) -> FoundModel:
        if not trained.is_lora:
            files = replace(find_pipeline(str(folder)), name=trained.step_id)
            return FoundModel(files, lora, self.lora_scale, trained.step_id)
        if lora is not None:
            msg = (
                f"generate_images: step {trained.step_id!r} trained a LoRA, and one goes on top of "
                "a model: name the model as model_id to have it drawn with the argument lora."
            )
            raise InvalidArgumentError(msg)
        own = replace(find_lora(str(folder)), name=trained.step_id)
        (predicts,) = _texts(trained.told, "prediction_type")
        return FoundModel(_base_of(trained), own, self.lora_scale, trained.step_id, predicts)


def _base_of(trained: TrainingFolder) -> ModelFiles:
    """Return the model that a LoRA was trained on, at the revision used.

    Raises:
        InputDataError: it is not available, or has changed.
    """
    base, revision = _texts(trained.told, "base_model", "base_revision")
    on_hub = None if (revision or "").startswith("sha256:") else revision
    try:
        files = find_pipeline(base or "", on_hub)
    except InputDataError as error:
        msg = (
            f"{error} Step {trained.step_id!r} trained its LoRA on it. If it lies elsewhere here, "
            f"name it as model_id, and {trained.location} as lora."
        )
        raise InputDataError(msg) from error
    if revision is not None and files.revision != revision:
        msg = (
            f"Model {base!r} is not what step {trained.step_id!r} trained its LoRA on: it was "
            f"{revision}, and is {files.revision} now. Restore it, or train anew."
        )
        raise InputDataError(msg)
    return files


def _texts(told: Mapping[str, Any], *names: str) -> list[str | None]:
    """Return the values of `training.json` under some names; None for any that is not a text."""
    return [value if isinstance(value, str) else None for value in map(told.get, names)]
