"""Models of open_clip, named `open_clip:<model>/<pretrained>`.

`<pretrained>` is a tag of open_clip, or the path of a safetensors file. The package is optional:
`pip install open_clip_torch`, which also installs torchvision.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np
import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from fondant_spec.errors import InputDataError, MissingDependencyError
from image_toolkit.hub_errors import hub_failures_told
from image_toolkit.models.runtime.loading import loading
from image_toolkit.models.runtime.preparation import Normalise, PixelPreparation, probe_images
from image_toolkit.models.runtime.slots import stacked
from image_toolkit.models.runtime.torch_setup import prepare_torch
from image_toolkit.models.runtime.weights import file_digest, weights_digest

PREFIX: Final = "open_clip:"
_WEIGHTS: Final = "open_clip_model.safetensors"
_DIGEST_LENGTH: Final = 16
_PREPARATION: Final = ("mean", "std", "interpolation", "resize_mode")
"""open_clip's settings for the images that weights were trained on."""

_RESAMPLE: Final = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "random": Image.Resampling.BICUBIC,  # only in training
}


class OpenClipImages:
    """The image tower of an open_clip model; see `embedders.Encoder`."""

    def __init__(self, model_id: str) -> None:
        self.name = model_id
        model, self.revision, self.weights = _load(model_id)
        settings = model.visual.preprocess_cfg
        size = settings["size"]
        side = size if isinstance(size, int) else int(size[0])
        if settings["resize_mode"] not in ("shortest", "squash"):
            msg = f"Model {model_id!r}: its resize_mode {settings['resize_mode']!r} is not known."
            raise InputDataError(msg)
        squashes = settings["resize_mode"] == "squash"
        self._preparation = PixelPreparation(
            size=(side, side) if squashes else side,
            crop=None if squashes else (side, side),
            resample=_RESAMPLE[settings["interpolation"]],
            scale=1 / 255,
            mean=tuple(settings["mean"]),
            std=tuple(settings["std"]),
        )
        self.prepare: Callable[[Any], Any] = self._preparation
        self.tower = _Images(Normalise(self._preparation), model)

    def collate(self, items: Sequence[Any]) -> Mapping[str, torch.Tensor]:
        """Return the tower's input for some prepared images."""
        return {"pixels": stacked(items)}

    def probes(self) -> Sequence[Any]:
        """Return a few prepared images."""
        return [self._preparation.pixels(np.asarray(image)) for image in probe_images(4)]


class OpenClipTexts:
    """The text tower of an open_clip model, with its tokenizer; see `embedders.Encoder`."""

    def __init__(self, model_id: str, prepare: Callable[[Any], Any]) -> None:
        self.name = model_id
        self.prepare = prepare
        model, self.revision, self.weights = _load(model_id)
        with loading(model_id):
            self._tokenizer = _package().get_tokenizer(_parts(model_id)[0])
        self._lock = Lock()  # a tokenizer stores its truncation and padding between calls
        self.longest = int(self._tokenizer.context_length)
        self.tower = _Texts(model)

    def collate(self, items: Sequence[Any]) -> Mapping[str, torch.Tensor]:
        """Return token ids; longer texts are truncated to the model's limit (`longest`)."""
        with self._lock:
            return {"tokens": self._tokenizer(list(items))}

    def tokens(self, text: str) -> int:
        """Return the number of tokens of a text for this model, including start and end."""
        own = getattr(self._tokenizer, "tokenizer", None)  # Hugging Face's, for some models
        if own is None:
            return len(self._tokenizer.encode(text)) + 2
        with self._lock:
            return len(own(self._tokenizer.clean_fn(text))["input_ids"])

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Return `tokens` of several texts."""
        return [self.tokens(text) for text in texts]

    def probes(self) -> Sequence[Any]:
        """Return a few texts."""
        return ["a photo of a cat", "two boats on a lake at dusk", "red"]


class _Images(nn.Module):  # type: ignore[misc]  # torch has no types
    def __init__(self, normalise: Normalise, model: Any) -> None:
        super().__init__()
        self.normalise, self.visual = normalise, model.visual

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        values = self.normalise(pixels).to(next(self.visual.parameters()).dtype)
        vectors = self.visual(values)
        return vectors[0] if isinstance(vectors, tuple) else vectors


class _Texts(nn.Module):  # type: ignore[misc]  # torch has no types
    def __init__(self, model: Any) -> None:
        super().__init__()
        del model.visual
        self.model = model

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.model.encode_text(tokens)


def _load(model_id: str) -> tuple[Any, str, str]:
    """Return a model with its weights, and their revision and digest."""
    package = _package()
    name, pretrained = _parts(model_id)
    path, revision, settings = _weights(package, model_id, name, pretrained)
    with loading(model_id):
        model = package.create_model(
            name,
            pretrained=None,  # nor those of either half: all weights are in the file
            pretrained_image=False,
            pretrained_text=False,
            force_quick_gelu=bool(settings.get("quick_gelu", False)),
            force_preprocess_cfg={key: settings[key] for key in _PREPARATION if key in settings},
        )
        model.load_state_dict(load_file(path))
    return model.eval(), revision, weights_digest([path])


def _parts(model_id: str) -> tuple[str, str]:
    name, _, pretrained = model_id.removeprefix(PREFIX).partition("/")
    if not name or not pretrained:
        msg = (
            f"Model {model_id!r}: write {PREFIX}<model>/<pretrained>, such as "
            f"{PREFIX}ViT-B-32/laion2b_s34b_b79k; <pretrained> may be a safetensors file."
        )
        raise InputDataError(msg)
    return name, pretrained


def _weights(
    package: Any, model_id: str, name: str, pretrained: str
) -> tuple[Path, str, Mapping[str, Any]]:
    """Return the weights' file, their revision, and open_clip's settings for them."""
    own = Path(pretrained).expanduser()
    if own.suffix == ".safetensors" and own.is_file():
        return own, f"sha256:{file_digest(own)[:_DIGEST_LENGTH]}", _usual_settings(package, name)
    settings = package.get_pretrained_cfg(name, pretrained)
    if not settings:
        known = ", ".join(package.list_pretrained_tags_by_model(name)) or "none; no such model"
        msg = f"Model {model_id!r}: open_clip knows no such weights. For {name!r}: {known}."
        raise InputDataError(msg)
    repository = str(settings.get("hf_hub", "")).strip("/")
    try:
        with hub_failures_told("model", model_id):
            path = Path(hf_hub_download(repository, _WEIGHTS)) if repository else None
    except EntryNotFoundError:
        path = None
    if path is None:
        msg = f"Model {model_id!r} is published as pickled weights only, which are refused."
        raise InputDataError(msg)
    return path, path.parent.name, settings


def _usual_settings(package: Any, name: str) -> Mapping[str, Any]:
    """Return the image settings that all weights of a model have in common."""
    tags = package.list_pretrained_tags_by_model(name)
    known = [package.get_pretrained_cfg(name, tag) for tag in tags]
    return {
        key: known[0][key]
        for key in _PREPARATION
        if known and all(settings.get(key) == known[0].get(key) for settings in known)
    }


def _package() -> Any:
    prepare_torch()  # open_clip imports torchvision
    try:
        import open_clip  # noqa: PLC0415 - optional, and heavy
    except ImportError as error:
        msg = f"{PREFIX}... needs the package open_clip: `pip install open_clip_torch`. ({error})"
        raise MissingDependencyError(msg) from error
    return open_clip
