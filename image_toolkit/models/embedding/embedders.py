"""Image and text towers of models with a joint embedding space: CLIP, SigLIP, SigLIP 2, ..."""

import re
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fondant_spec.errors import InputDataError
from image_toolkit.blank_texts import is_blank
from image_toolkit.models.embedding.open_clip import PREFIX, OpenClipImages, OpenClipTexts
from image_toolkit.models.runtime.feed_rows import UnusableError
from image_toolkit.models.runtime.hub import ModelFiles, find_model
from image_toolkit.models.runtime.loading import load_model, load_tokenizer, loading
from image_toolkit.models.runtime.preparation import (
    Normalise,
    PixelPreparation,
    ProcessorPreparation,
    preparation_for,
    probe_images,
)
from image_toolkit.models.runtime.processors import load_image_processor
from image_toolkit.models.runtime.slots import stacked

Vectors = npt.NDArray[np.float32]
Inputs = Mapping[str, torch.Tensor]

_SIGLIP: Final = ("siglip", "siglip2")
"""Trained on lower-case texts padded to full length; only some of its tokenizers do that."""

_UNUSED: Final = {
    "image": re.compile("^(text|logit)_"),
    "text": re.compile("^(vision|visual|logit)_"),
}
"""The weights that a tower does not use, by name: those of the other one."""


class Encoder(Protocol):
    """A tower of a model, ready to be placed: its inputs, and how to call it."""

    name: str
    revision: str
    weights: str
    """The digest of the model's weights."""
    tower: nn.Module
    """Takes the tensors from `collate`; returns vectors (batch, dimension), of any length."""

    @property
    def prepare(self) -> Callable[[Any], Any]:
        """A thread-safe function that prepares an item from a cell."""

    def collate(self, items: Sequence[Any]) -> Inputs:
        """Return the tower's input for some prepared items."""

    def probes(self) -> Sequence[Any]:
        """Return a few prepared items, the same each time, to compare ways of running it."""


class ImageEncoder:
    """The image tower of a `transformers` model, with its image preparation."""

    prepare: Callable[[Any], Any]

    def __init__(self, files: ModelFiles) -> None:
        self.name, self.revision, self.weights = files.name, files.revision, files.weights
        with loading(files.name):
            processor = load_image_processor(files)
        self._processor = processor
        self.tower = _Tower(_load(files, "image"), "image")
        self.prepare = ProcessorPreparation()
        preparation = preparation_for(processor)
        if preparation is not None:
            self.use_pixels(preparation)

    def use_pixels(self, preparation: PixelPreparation) -> None:
        """Take pixels from `preparation` instead of images, and normalise on the device."""
        self.prepare = preparation
        self.tower = _PixelTower(Normalise(preparation), self.tower)

    def collate(self, items: Sequence[Any]) -> Inputs:
        """Return the tower's input for some prepared images."""
        if isinstance(self.prepare, PixelPreparation):
            return {"pixels": stacked(items)}
        return dict(self._processor(images=list(items), return_tensors="pt"))

    def probes(self) -> Sequence[Any]:
        """Return a few prepared images."""
        images = probe_images(4)
        if isinstance(self.prepare, PixelPreparation):
            return [self.prepare.pixels(np.asarray(image)) for image in images]
        return images


class TextEncoder:
    """The text tower of a `transformers` model, with its tokenizer."""

    def __init__(self, files: ModelFiles) -> None:
        self.name, self.revision, self.weights = files.name, files.revision, files.weights
        self.prepare: Callable[[Any], Any] = stripped
        model = _load(files, "text")
        self._tokenizer = load_tokenizer(files, model.config)
        self._lock = Lock()  # a tokenizer stores its truncation and padding between calls
        text = model.config.get_text_config()
        # A tokenizer may permit fewer: in RoBERTa's kind, not all positions are for tokens.
        self.longest = min(text.max_position_embeddings, self._tokenizer.model_max_length)
        self._is_siglip = files.kind in _SIGLIP
        self.tower = _Tower(model, "text")

    def collate(self, items: Sequence[Any]) -> Inputs:
        """Return token ids (and a mask) for some texts, truncated to the model's limit."""
        with self._lock:
            return dict(
                self._tokenizer(
                    self._as_trained(items),
                    padding="max_length" if self._is_siglip else "longest",
                    truncation=True,
                    max_length=self.longest,
                    return_tensors="pt",
                ),
            )

    def probes(self) -> Sequence[Any]:
        """Return a few texts."""
        return ["a photo of a cat", "two boats on a lake at dusk", "red", ""]

    def tokens(self, text: str) -> int:
        """Return the number of tokens of a text for this model, including start and end."""
        return self.token_counts([text])[0]

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Return `tokens` of several texts, which is cheaper than one at a time."""
        with self._lock:
            counted = self._tokenizer(self._as_trained(texts), verbose=False)
        return [len(ids) for ids in counted["input_ids"]]

    def _as_trained(self, texts: Sequence[str]) -> list[str]:
        return [text.lower() if self._is_siglip else text for text in texts]


def image_encoder(model_id: str, revision: str | None = None) -> Encoder:
    """Return the image tower of a model: a `transformers` id or folder, or `open_clip:...`.

    Raises:
        InputDataError: the model cannot be loaded, or has no image tower.
    """
    if model_id.startswith(PREFIX):
        return OpenClipImages(model_id)
    return ImageEncoder(find_model(model_id, revision))


def text_encoder(model_id: str, revision: str | None = None) -> TextEncoder | OpenClipTexts:
    """Return the text tower of a model: a `transformers` id or folder, or `open_clip:...`.

    Raises:
        InputDataError: the model cannot be loaded, or has no text tower.
    """
    if model_id.startswith(PREFIX):
        return OpenClipTexts(model_id, stripped)
    return TextEncoder(find_model(model_id, revision))


def stripped(text: str) -> str:
    """Return a text without surrounding white space.

    Raises:
        UnusableError: it has no visible character.
    """
    if is_blank(text):
        raise UnusableError(reason="empty_text", message="the text is empty, or invisible")
    return text.strip()


class _Tower(nn.Module):  # type: ignore[misc]  # torch has no types
    """One half of a dual encoder; the other half is released."""

    def __init__(self, model: Any, modality: str) -> None:
        super().__init__()
        unused = "text_model" if modality == "image" else "vision_model"
        if hasattr(model, unused):
            delattr(model, unused)
        self.model = model
        self._features: Callable[..., Any] = getattr(model, f"get_{modality}_features")

    def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
        dtype = self.model.dtype
        cast = {k: v.to(dtype) if v.is_floating_point() else v for k, v in inputs.items()}
        features = self._features(**cast)
        return features if isinstance(features, torch.Tensor) else features.pooler_output


class _PixelTower(nn.Module):  # type: ignore[misc]  # torch has no types
    """A tower that takes prepared pixels, uint8, and normalises them itself."""

    def __init__(self, normalise: Normalise, tower: nn.Module) -> None:
        super().__init__()
        self.normalise = normalise
        self.tower = tower

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.tower(pixel_values=self.normalise(pixels))


def _load(files: ModelFiles, modality: str) -> Any:
    model = load_model("AutoModel", files, torch.float32, _UNUSED[modality])
    both = hasattr(model, "get_image_features") and hasattr(model, "get_text_features")
    if not both or hasattr(model, "language_model"):  # BLIP-2 has both, each in a space of its own
        msg = (
            f"Model {files.name!r} ({files.kind}) does not embed images and texts in one space; "
            f"use a CLIP, SigLIP, SigLIP 2 or similar model."
        )
        raise InputDataError(msg)
    return model.eval()
