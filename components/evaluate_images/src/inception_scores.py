"""KID and FID by torch-fidelity, if it is installed and its weights are available."""

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from fondant_spec.errors import InputDataError, MissingDependencyError
from image_toolkit.images.decoding import decode_pixels

_FEW: Final = 2_000
_SUBSETS: Final = 100
_LARGEST_SUBSET: Final = 1_000


@dataclass(frozen=True)
class InceptionScores:
    """The distance of a model's images from the originals, by Inception features.

    Attributes:
        kid: The mean over subsets, unbiased.
        kid_deviation: The standard deviation over subsets.
        fid: Biased: the fewer images, the larger.
        subset: The subset size of KID.
    """

    kid: float
    kid_deviation: float
    fid: float
    subset: int


def check_fidelity(weights: str) -> None:
    """Check that torch-fidelity is installed, and that the weights exist.

    Raises:
        MissingDependencyError: it is not installed.
        InputDataError: there is no such file.
    """
    if importlib.util.find_spec("torch_fidelity") is None:
        msg = "inception_weights: KID and FID need torch-fidelity; `pip install torch-fidelity`."
        raise MissingDependencyError(msg)
    if not Path(weights).expanduser().is_file():
        msg = f"inception_weights: there is no file {weights}."
        raise InputDataError(msg)


def inception_scores(
    originals: Sequence[str],
    generated: Sequence[str],
    look: Callable[[str], bytes | None],
    weights: str,
    seed: int,
) -> InceptionScores:
    """Return the scores of a model's images.

    Args:
        originals: the names of the originals.
        generated: the names of the model's images.
        look: returns an image by its name, as it is compared.
        weights: file with Inception's weights, .safetensors or .pth; only tensors are read from it.
        seed: of KID's subsets.

    Raises:
        InputDataError: the weights cannot be read.
    """
    calculate_metrics = importlib.import_module("torch_fidelity").calculate_metrics
    # Half of the smaller set: subsets of full size would all be equal, without a deviation.
    subset = min(len(originals) // 2, len(generated) // 2, _LARGEST_SUBSET)
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "weights.pth"
        torch.save(_tensors(weights), copy)  # torch-fidelity would execute a pickle: not theirs
        told = calculate_metrics(
            input1=_Looks(generated, look),
            input2=_Looks(originals, look),
            cuda=torch.cuda.is_available(),
            fid=True,
            kid=True,
            kid_subsets=_SUBSETS,
            kid_subset_size=subset,
            feature_extractor_weights_path=str(copy),
            rng_seed=seed,
            save_cpu_ram=True,  # no processes, which would share a file position
            verbose=False,
        )
    return InceptionScores(
        kid=float(told["kernel_inception_distance_mean"]),
        kid_deviation=float(told["kernel_inception_distance_std"]),
        fid=float(told["frechet_inception_distance"]),
        subset=subset,
    )


def few_images_warning(images: int) -> str | None:
    """Return a warning for that number of images, if it is small."""
    if images >= _FEW:
        return None
    return (
        f"FID is biased: with {images} images it is larger than with thousands, and not to be "
        "compared with figures from elsewhere. KID has no bias, but a wide spread."
    )


def _tensors(weights: str) -> Any:
    """Return the tensors in a file of weights; any other content of a pickle is rejected."""
    file = Path(weights).expanduser()
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        return torch.load(file, map_location="cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, RuntimeError, OSError, EOFError) as error:
        msg = f"inception_weights: {weights} cannot be read as weights: {error}"
        raise InputDataError(msg) from error


class _Looks(torch.utils.data.Dataset):  # type: ignore[misc]  # torch has no types
    """Images in the form that torch-fidelity takes: uint8, (3, height, width)."""

    def __init__(self, names: Sequence[str], look: Callable[[str], bytes | None]) -> None:
        self._names, self._look = names, look

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, place: int) -> Any:
        data = self._look(self._names[place])
        assert data is not None, "every image that is compared was kept"  # noqa: S101
        return torch.from_numpy(np.ascontiguousarray(decode_pixels(data).transpose(2, 0, 1)))
