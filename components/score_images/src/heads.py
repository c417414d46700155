"""LAION's small networks on CLIP vectors: the aesthetic predictor and the NSFW detector.

Both are read from their published state dicts. The aesthetic predictor
(christophschuhmann/improved-aesthetic-predictor) is a chain of linear layers, `layers.0.weight`,
...; or a single one, `weight`. The NSFW detector (LAION-AI/CLIP-based-NSFW-Detector, for L/14 and
B/32) begins with a normalisation, `norm.mean` and `norm.variance`, followed by linear layers with
ReLU, `linear_1.weight`, ..., and a final sigmoid.
"""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from fondant_spec.errors import InputDataError

FloatArray: TypeAlias = npt.NDArray[np.float32]

_NUMBERED: Final = re.compile(r"(?:layers\.|linear_)?(\d*)\.?(weight|bias)")


class Head:
    """A network from unit vectors to a number.

    Args:
        path: a state dict, as .safetensors or as saved by torch, of which only tensors are read.
        name: its purpose, for errors.
        dimension: of its input vectors.

    Raises:
        InputDataError: it cannot be read, has another layout, or is for other vectors.
    """

    def __init__(self, path: Path, name: str, dimension: int) -> None:
        tensors = _read(path, name)
        self._mean = tensors.pop("norm.mean", None)
        self._variance = tensors.pop("norm.variance", None)
        self.is_classifier = self._mean is not None
        numbered = {key: _NUMBERED.fullmatch(key) for key in tensors}
        prefix = "linear_" if self.is_classifier else ("layers.", "weight", "bias")
        if not all(match and key.startswith(prefix) for key, match in numbered.items()):
            msg = f"{path}: the {name} has {', '.join(sorted(tensors))}, no layout of LAION's."
            raise InputDataError(msg)
        layers = sorted({int(match[1] or 0) for match in numbered.values() if match})
        stem = "linear_{}." if self.is_classifier else "layers.{}."
        keys = ["" if "weight" in tensors else stem.format(number) for number in layers]
        try:
            self._layers = [(tensors[f"{key}weight"], tensors[f"{key}bias"]) for key in keys]
        except KeyError as error:
            msg = f"{path}: the {name} has no {error}; it is not whole."
            raise InputDataError(msg) from None
        self._check_shapes(path, name, dimension)

    def __call__(self, vectors: FloatArray) -> FloatArray:
        """Return the scores of unit vectors, shape (n, dimension), as an array of n."""
        values: FloatArray = vectors
        if self._mean is not None and self._variance is not None:
            values = ((values - self._mean) / np.sqrt(self._variance)).astype(np.float32)
        for number, (weight, bias) in enumerate(self._layers):
            values = values @ weight.T + bias
            if self.is_classifier and number < len(self._layers) - 1:
                values = np.maximum(values, 0)
        scores = 1 / (1 + np.exp(-values)) if self.is_classifier else values
        return scores[:, 0].astype(np.float32)

    def _check_shapes(self, path: Path, name: str, dimension: int) -> None:
        width = int(self._layers[0][0].shape[-1])
        if width != dimension:
            msg = (
                f"{path}: the {name} takes vectors of {width} dimensions, but the model's have "
                f"{dimension}; LAION's are for openai/clip-vit-large-patch14."
            )
            raise InputDataError(msg)
        for weight, bias in self._layers:
            if weight.ndim != 2 or weight.shape != (len(bias), width):  # noqa: PLR2004 - a matrix
                msg = f"{path}: the layers of the {name} do not fit each other."
                raise InputDataError(msg)
            width = len(bias)
        if width != 1:
            msg = f"{path}: the {name} gives {width} numbers instead of one."
            raise InputDataError(msg)


def _read(path: Path, name: str) -> dict[str, FloatArray]:
    import torch  # noqa: PLC0415 - takes seconds, and pixel measures do without
    from safetensors import SafetensorError  # noqa: PLC0415
    from safetensors.torch import load_file  # noqa: PLC0415

    try:
        if path.suffix == ".safetensors":
            content: Mapping[str, torch.Tensor] = load_file(path)
        else:
            # Tensors only: no other content of a pickle is executed.
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        msg = f"{path}: the {name} cannot be read: {str(error).partition(chr(10))[0]}"
        raise InputDataError(msg) from None
    if not isinstance(content, Mapping) or not content:
        msg = f"{path}: the {name} is no state dict, a file of tensors by name."
        raise InputDataError(msg)
    return {key: tensor.float().numpy() for key, tensor in content.items()}
