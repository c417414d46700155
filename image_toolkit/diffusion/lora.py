"""LoRA files: found, checked to be safetensors and to fit the model, and applied to a pipeline."""

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError, safe_open
from torch import nn

from fondant_spec.errors import InputDataError
from image_toolkit.models.runtime.hub_files import find_file, find_files
from image_toolkit.models.runtime.weights import PREFIX, file_digest

logger = logging.getLogger(__name__)

LORA_FILE: Final = "pytorch_lora_weights.safetensors"
"""The name that diffusers gives the file."""

ADAPTER: Final = "lora"
_SUFFIX: Final = ".safetensors"
_LONGEST_REASON: Final = 300
_UNFIT: Final = (
    *(OSError, ValueError, KeyError, IndexError, TypeError, AttributeError),
    *(RuntimeError, AssertionError, NotImplementedError),
)
"""What diffusers and peft raise for weights that do not fit the model."""

_DOWN: Final = re.compile(r"(lora_A|lora[._]down)(\.\w+)?\.weight$")
"""Matches the name of one weight for each layer that a LoRA changes."""


@dataclass(frozen=True)
class Lora:
    """A LoRA file, in the layout of diffusers, peft or kohya.

    `name` identifies it on any machine; `revision` is its commit on the hub, if it is from there.
    """

    name: str
    file: Path
    revision: str | None = None

    @property
    def digest(self) -> str:
        """The SHA-256 of the file."""
        return PREFIX + file_digest(self.file)


def find_lora(location: str, revision: str | None = None) -> Lora:
    """Return a LoRA: a file, a folder with one, an id on the hub, or `hf://OWNER/NAME/FILE`.

    Raises:
        InputDataError: there is none, it is not safetensors, or it cannot be downloaded.
    """
    if location.startswith("hf://"):
        file = find_file(location)
        return Lora(location, _safe(location, file))
    path = Path(location).expanduser()
    if path.is_file():
        return Lora(path.name, _safe(location, path))
    if path.is_dir():
        return Lora(path.resolve().name, _only_file(location, path))
    if path.is_absolute() or location.startswith(".") or path.suffix == _SUFFIX:
        msg = f"LoRA {location!r}: there is no such file or folder."
        raise InputDataError(msg)
    found = find_files(location, [LORA_FILE], revision)
    return Lora(location, found.folder / LORA_FILE, found.revision)


def apply_lora(pipeline: Any, lora: Lora, scale: float, model: str) -> None:
    """Apply a LoRA to a pipeline at a scale: 1 is as trained, 0 has no effect.

    Raises:
        InputDataError: it is not a LoRA, or does not fit this model, whose name is `model`.
    """
    asked = _asked_layers(lora)
    try:
        pipeline.load_lora_weights(
            str(lora.file.parent),
            weight_name=lora.file.name,
            adapter_name=ADAPTER,
            use_safetensors=True,
            local_files_only=True,
        )
    except _UNFIT as error:
        words = " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__
        raise _unfit(lora, model, words) from error
    changed = sum(
        ADAPTER in getattr(layer, "lora_A", ())
        for part in pipeline.components.values()
        if isinstance(part, nn.Module)
        for layer in part.modules()
    )
    if not changed:
        raise _unfit(lora, model, "it changes no layer of it")
    if changed < asked:
        logger.warning(
            "LoRA %r is for %d layers, of which model %r has %d; the others change nothing.",
            lora.name,
            asked,
            model,
            changed,
        )
    pipeline.set_adapters([ADAPTER], [scale])


def _asked_layers(lora: Lora) -> int:
    """Return how many layers a file has weights for.

    Raises:
        InputDataError: the file is damaged.
    """
    try:
        with safe_open(lora.file, "pt") as weights:
            return sum(_DOWN.search(name) is not None for name in weights.keys())  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        msg = f"LoRA {lora.name!r}: {lora.file} cannot be read ({error}); get the file anew."
        raise InputDataError(msg) from error


def _only_file(location: str, folder: Path) -> Path:
    """Return the LoRA file in a folder: the one with diffusers' name, or the only one."""
    if (folder / LORA_FILE).is_file():
        return folder / LORA_FILE
    found = sorted(folder.glob(f"*{_SUFFIX}"))
    if len(found) == 1:
        return found[0]
    names = ", ".join(path.name for path in found) or "none"
    msg = (
        f"LoRA {location!r}: of safetensors files in the folder there are: {names}. Name the file."
    )
    raise InputDataError(msg)


def _safe(location: str, file: Path) -> Path:
    if file.suffix != _SUFFIX:
        msg = (
            f"LoRA {location!r}: a {file.suffix or 'nameless'} file may run code when it is "
            f"loaded; only {_SUFFIX} files are: convert it, or choose another one."
        )
        raise InputDataError(msg)
    return file


def _unfit(lora: Lora, model: str, why: str) -> InputDataError:
    return InputDataError(
        f"LoRA {lora.name!r} cannot be put on model {model!r}: name the model that it was trained "
        f"on. ({why})"
    )
