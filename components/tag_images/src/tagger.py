"""An ONNX tagger: images in, confidence per tag out."""

import logging
import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime
from PIL import Image

from fondant_spec.cpu import cpu_count
from fondant_spec.errors import InputDataError, InvalidArgumentError

logger = logging.getLogger(__name__)

FILE: Final = "model.onnx"

Pixels = npt.NDArray[np.uint8]

_USUAL_SIDE: Final = 448  # of models that take any size
_CHANNELS: Final = 3
_ROUNDING: Final = 1e-4
_CUDA: Final = re.compile(r"cuda(:[0-9]+)?")


class Tagger:
    """Runs a network whose input is square float images, NHWC, BGR from 0 to 255.

    Attributes:
        side: Of the square, in pixels.
        device: Where it runs: `cpu` or `cuda:0`.

    Args:
        folder: of the model.
        tags: the expected number of tags.
        device: `auto`, `cpu`, `cuda` or `cuda:<number>`.

    Raises:
        InputDataError: the model cannot be read, or has other inputs or outputs.
        InvalidArgumentError: there is no such device.
    """

    def __init__(self, folder: Path, tags: int, device: str = "auto") -> None:
        self._path = folder / FILE
        self.device, providers = _providers(device)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = cpu_count()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # nor busy waiting
        options.log_severity_level = 3  # errors only
        try:
            self._session = onnxruntime.InferenceSession(self._path, options, providers)
        except Exception as error:  # noqa: BLE001 - it has a class of its own for each cause
            msg = f"{self._path}: cannot be read as a model: {_first_line(error)}"
            raise InputDataError(msg) from None
        if self.device != "cpu" and "CUDAExecutionProvider" not in self._session.get_providers():
            logger.warning("onnxruntime cannot load CUDA here: the tagger runs on the CPU, slowly.")
            self.device = "cpu"
        inputs = self._session.get_inputs()
        shape = inputs[0].shape
        if len(inputs) != 1 or len(shape) != 4 or shape[3] != _CHANNELS:  # noqa: PLR2004 - NHWC
            told = ", ".join(f"{one.name} {one.shape}" for one in inputs)
            msg = f"{self._path}: takes {told}; a tagger takes images of shape (n, side, side, 3)."
            raise InputDataError(msg)
        batch, height, width = (size if isinstance(size, int) else None for size in shape[:3])
        if height != width:
            msg = f"{self._path}: takes images of {shape[2]} by {shape[1]} pixels, not squares."
            raise InputDataError(msg)
        self._input = inputs[0].name
        self._fixed = batch
        self.side = height or _USUAL_SIDE
        self._check_outputs(tags)

    def square(self, pixels: Pixels) -> Pixels:
        """Return an image in the model's input format: padded to a white square, scaled, in BGR.

        Args:
            pixels: RGB, of shape (height, width, 3).
        """
        height, width = pixels.shape[:2]
        longest = max(height, width)
        square = np.full((longest, longest, _CHANNELS), 255, np.uint8)
        top, left = (longest - height) // 2, (longest - width) // 2
        square[top : top + height, left : left + width] = pixels
        if longest != self.side:
            image = Image.fromarray(square).resize((self.side,) * 2, Image.Resampling.BICUBIC)
            square = np.asarray(image)
        return square[:, :, ::-1]

    def __call__(self, squares: list[Pixels]) -> npt.NDArray[np.float32]:
        """Return the confidence of each tag for each image, of shape (images, tags).

        Raises:
            InputDataError: the output is not numbers from 0 to 1.
        """
        step = self._fixed or len(squares)
        parts = [self._run(squares[start : start + step]) for start in range(0, len(squares), step)]
        sureness = np.concatenate(parts)
        if not (np.all(sureness >= -_ROUNDING) and np.all(sureness <= 1 + _ROUNDING)):
            msg = (
                f"{self._path}: gives numbers from {sureness.min():.3g} to {sureness.max():.3g}; a "
                "tagger gives how sure it is, from 0 to 1."
            )
            raise InputDataError(msg)
        return sureness

    def _run(self, squares: list[Pixels]) -> npt.NDArray[np.float32]:
        images = np.stack(squares).astype(np.float32)
        if missing := max((self._fixed or 0) - len(squares), 0):
            images = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
        (found,) = self._session.run([self._session.get_outputs()[0].name], {self._input: images})
        return np.asarray(found, np.float32)[: len(squares)]

    def _check_outputs(self, tags: int) -> None:
        """Tag a white square, and check the output."""
        white = np.full((self.side, self.side, _CHANNELS), 255, np.uint8)
        try:
            found = self._run([white])
        except Exception as error:  # noqa: BLE001 - it has a class of its own for each cause
            msg = f"{self._path}: cannot tag an image: {_first_line(error)}"
            raise InputDataError(msg) from None
        if found.shape != (1, tags):
            msg = (
                f"{self._path}: gives {found.shape[-1]} numbers for an image, but the "
                f"selected_tags.csv beside it has {tags} tags; they are not of one model."
            )
            raise InputDataError(msg)


def _providers(device: str) -> tuple[str, list[Any]]:
    """Return the device that a model runs on, and its onnxruntime providers."""
    if device not in ("auto", "cpu") and not _CUDA.fullmatch(device):
        msg = (
            f"device: {device!r} is none that taggers run on; use auto, cpu, cuda or cuda:<number>."
        )
        raise InvalidArgumentError(msg)
    has_cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if device == "cpu" or (device == "auto" and not has_cuda):
        return "cpu", ["CPUExecutionProvider"]
    if not has_cuda:
        msg = (
            f"device: {device!r} asked for, but this build of onnxruntime has no CUDA; install "
            "onnxruntime-gpu in its place, or use auto or cpu."
        )
        raise InvalidArgumentError(msg)
    number = int(device.partition(":")[2] or 0)
    chosen = [("CUDAExecutionProvider", {"device_id": number}), "CPUExecutionProvider"]
    return f"cuda:{number}", chosen


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
