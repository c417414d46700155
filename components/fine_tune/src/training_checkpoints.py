"""States to go on from after training was killed: whole folders, the last two of which stay."""

import json
import logging
import pickle
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tensor_store import synced, write_tensors

logger = logging.getLogger(__name__)

_KEPT: Final = 2
"""A second copy, in case a power cut damages the first."""

_UNFINISHED: Final = "unfinished"
_WEIGHTS, _OPTIMIZER, _STATE = "weights.safetensors", "optimizer.pt", "state.json"
_DAMAGE: Final = (OSError, ValueError, KeyError, RuntimeError, SafetensorError, EOFError)


@dataclass(frozen=True)
class Checkpoint:
    """The state after a step.

    Attributes:
        step: how many steps were taken.
        weights: what is trained.
        optimizer: of the optimiser and what belongs to it: plain values and tensors.
        told: what else is known, as JSON has it.
    """

    step: int
    weights: Mapping[str, torch.Tensor]
    optimizer: Mapping[str, Any]
    told: Mapping[str, Any]


class Checkpoints:
    """A folder of checkpoints, all of one training: those of another, by its `digest`, go."""

    def __init__(self, folder: Path, digest: str) -> None:
        self._folder = folder
        self._digest = digest

    def save(self, checkpoint: Checkpoint) -> None:
        """Keep a state. It counts when all of it is on disk; older ones then go."""
        unfinished = self._folder / _UNFINISHED
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        write_tensors(unfinished / _WEIGHTS, checkpoint.weights)
        torch.save(dict(checkpoint.optimizer), unfinished / _OPTIMIZER)
        state = {"step": checkpoint.step, "digest": self._digest, "told": checkpoint.told}
        (unfinished / _STATE).write_text(json.dumps(state), encoding="utf-8")
        for file in (*unfinished.iterdir(), unfinished):
            synced(file)
        target = self._folder / f"step-{checkpoint.step:08d}"
        shutil.rmtree(target, ignore_errors=True)
        unfinished.rename(target)
        for old in self._all()[:-_KEPT]:
            shutil.rmtree(old)

    def last(self) -> Checkpoint | None:
        """Return the last state that can be read and is of this training; None if there is none."""
        for folder in reversed(self._all()):
            try:
                found = _read(folder, self._digest)
            except (*_DAMAGE, pickle.UnpicklingError) as error:
                logger.warning("%s is damaged (%s): going on from an earlier one.", folder, error)
                continue
            if found is not None:
                return found
            logger.warning("%s is of other rows, which have changed since: it is left out.", folder)
            shutil.rmtree(folder)
        return None

    def where(self) -> Path | None:
        """Return the folder of the last state; None if there is none yet."""
        return next(reversed(self._all()), None)

    def _all(self) -> list[Path]:
        return sorted(self._folder.glob("step-*"))


def _read(folder: Path, digest: str) -> Checkpoint | None:
    """Return a state; None if it is of another training."""
    state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
    if state["digest"] != digest:
        return None
    optimizer = torch.load(folder / _OPTIMIZER, map_location="cpu", weights_only=True)
    return Checkpoint(state["step"], load_file(folder / _WEIGHTS), optimizer, state["told"])
