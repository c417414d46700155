"""Tensors on disk, each set of them in a file of its own, written atomically."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file

_UNFINISHED: Final = ".unfinished"


class TensorStore:
    """A folder of tensors by keys, which may be any texts.

    Reads are served from the file system's cache, as far as memory allows.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __contains__(self, key: object) -> bool:
        return self._file(str(key)).is_file()

    def put(self, key: str, tensors: Mapping[str, torch.Tensor]) -> None:
        """Store some tensors; they may be on any device."""
        file = self._file(key)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(file, tensors)

    def get(self, key: str) -> dict[str, torch.Tensor]:
        """Return the tensors stored under a key, on the CPU."""
        found: dict[str, torch.Tensor] = load_file(self._file(key))
        return found

    def _file(self, key: str) -> Path:
        name = hashlib.sha256(key.encode()).hexdigest()
        return self._folder / name[:2] / f"{name}.safetensors"


def write_tensors(
    file: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors from any device to a file, atomically."""
    unfinished = file.with_name(file.name + _UNFINISHED)
    on_cpu: dict[str, Any] = {
        name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()
    }
    save_file(on_cpu, unfinished, metadata=dict(metadata or {"format": "pt"}))
    unfinished.replace(file)


def synced(file: Path) -> None:
    """Flush a file to disk, so that a power cut does not undo the write."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
