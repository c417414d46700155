"""Object detection, for cropping objects out of images."""

import re
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Any, Final, NamedTuple

import torch
from PIL import Image

from fondant_spec.errors import InputDataError
from image_toolkit.evaluation.standard_look import Pixels
from image_toolkit.models.runtime.device import devices
from image_toolkit.models.runtime.hub import find_model
from image_toolkit.models.runtime.loading import load_model, loading
from image_toolkit.models.runtime.processors import load_image_processor

_LEAST_SIDE: Final = 16
"""The least shorter side of a crop, in pixels; smaller ones show too little to compare."""

_NOTHING: Final = re.compile("(?!)")


class Found(NamedTuple):
    """A detected object: its label, and its pixels."""

    label: str
    pixels: Pixels


class ObjectDetector:
    """An object-detection model of `transformers`, loaded from safetensors only.

    Raises:
        InputDataError: it cannot be loaded, or is not a detector.
    """

    def __init__(self, model_id: str, revision: str | None, threshold: float, device: str) -> None:
        files = find_model(model_id, revision)
        self.name, self.revision = files.name, files.revision
        self._device = devices(device)[0]
        model = load_model("AutoModelForObjectDetection", files, torch.float32, _NOTHING)
        with loading(files.name):
            self._processor = load_image_processor(files)
        if not hasattr(self._processor, "post_process_object_detection"):
            msg = f"detector: model {model_id!r} ({files.kind}) tells no boxes; take another one."
            raise InputDataError(msg)
        self._model = model.eval().to(self._device)
        self._threshold = threshold
        self._lock = Lock()

    def found_in(self, pixels: Pixels) -> Sequence[Found]:
        """Return the objects in an image, most certain first."""
        with self._lock, torch.inference_mode():
            inputs = self._processor(images=Image.fromarray(pixels), return_tensors="pt")
            made = self._model(**inputs.to(self._device))
        sizes = [pixels.shape[:2]]
        (result,) = self._processor.post_process_object_detection(
            made, threshold=self._threshold, target_sizes=sizes
        )
        return list(self._cut(pixels, result))

    def _cut(self, pixels: Pixels, result: dict[str, Any]) -> Iterator[Found]:
        height, width = pixels.shape[:2]
        order = torch.argsort(result["scores"], descending=True, stable=True)
        for box, label in zip(
            result["boxes"][order].tolist(), result["labels"][order].tolist(), strict=True
        ):
            left, top = max(0, round(box[0])), max(0, round(box[1]))
            right, bottom = min(width, round(box[2])), min(height, round(box[3]))
            if min(right - left, bottom - top) >= _LEAST_SIDE:
                names = self._model.config.id2label
                yield Found(str(names.get(label, label)), pixels[top:bottom, left:right])
