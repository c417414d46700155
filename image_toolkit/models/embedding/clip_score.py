"""CLIP scores: how well a caption fits its image."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from image_toolkit.models.embedding.embedders import Vectors, image_encoder, text_encoder
from image_toolkit.models.runtime.batching import BatchSize
from image_toolkit.models.runtime.device import Placement
from image_toolkit.models.runtime.model_runner import start_runners

_BATCH: Final = 64


class ClipScore:
    """Compares images and texts in the space of a CLIP-like model, on one device."""

    def __init__(self, model_id: str, revision: str | None, placement: Placement) -> None:
        """Load both towers.

        Raises:
            InputDataError: the model cannot be loaded.
        """
        size = partial(BatchSize, _BATCH)
        images = partial(image_encoder, model_id, revision)
        texts = partial(text_encoder, model_id, revision)
        self._images = start_runners(images, [placement], "torch", size)[0]
        self._texts = start_runners(texts, [placement], "torch", size)[0]
        self.prepare = self._images.encoder.prepare
        self.tokens = self._texts.encoder.tokens
        self.longest = self._texts.encoder.longest

    def metadata(self) -> dict[str, str]:
        """Return the model's entries in the field metadata."""
        encoder = self._images.encoder
        return {"clip_model_id": encoder.name, "clip_revision": encoder.revision}

    def vectors(self, items: Sequence[Any]) -> list[Vectors | None]:
        """Return the vector of each prepared image; None if memory was insufficient."""
        return self._images(items)

    def scores(self, images: Sequence[Vectors | None], texts: Sequence[str]) -> list[float]:
        """Return the cosine, -1 to 1, of each image's vector with the text at the same position.

        NaN if the image or the text has no vector.
        """
        return [
            float("nan") if image is None or text is None else float(np.dot(image, text))
            for image, text in zip(images, self._texts(texts), strict=True)
        ]
