"""The output folder of a fine-tuning step, found from the manifests of later steps."""

import json
import shutil
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from fondant_spec.dataset import storage
from fondant_spec.dataset.history import steps_before
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.dataset.written_files import is_mark
from fondant_spec.errors import InputDataError

TRAINING: Final = "training.json"
"""The file that records what was trained, on what, and with what result."""


@dataclass(frozen=True)
class TrainingFolder:
    """A folder with a trained model.

    Attributes:
        step_id: the step that wrote it.
        location: a local path, or a URL.
        told: the content of its `training.json`.
    """

    step_id: str
    location: str
    told: Mapping[str, Any]

    @property
    def is_lora(self) -> bool:
        """Whether it is a LoRA for a base model rather than a whole pipeline."""
        return bool(self.told.get("method") == "lora")

    def local(self, lasting: ExitStack) -> Path:
        """Return the folder on this machine; a download is kept until `lasting` is closed."""
        if not storage.is_remote(self.location):
            return Path(self.location)
        folder = Path(lasting.enter_context(TemporaryDirectory()))
        fs, root = storage.filesystem(self.location)
        for name in fs.find(root):
            target = folder / Path(name).relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            with fs.open(name, "rb") as source, target.open("wb") as copy:
                shutil.copyfileobj(source, copy)
        return folder


def training_before(manifests: Iterable[str]) -> TrainingFolder | None:
    """Return the output of the nearest earlier step that trained a model; None if there is none.

    Args:
        manifests: the locations of the manifests that a step reads.

    Raises:
        InputDataError: its `training.json` cannot be read, its output was overwritten, or the
            output of a later step of the same component is not visible here.
    """
    unseen: list[Manifest] = []
    for manifest in reversed(steps_before(manifests)):
        for folder in dict.fromkeys(map(storage.parent, manifest.artifacts)):
            file = storage.join(folder, TRAINING)
            if storage.is_file(file):
                _check_nearest(manifest, unseen)
                _check_own(manifest)
                return TrainingFolder(manifest.step_id, folder, _told(file))
        if manifest.artifacts and not any(map(storage.exists, manifest.artifacts)):
            unseen.append(manifest)
    return None


def _check_nearest(found: Manifest, unseen: Iterable[Manifest]) -> None:
    """Refuse an earlier training in place of a later one whose folder is not visible."""
    for later in unseen:
        if later.component.get("name") == found.component.get("name"):
            msg = (
                f"What step {later.step_id!r} wrote is not to be seen here: {later.artifacts[0]}. "
                f"The training of step {found.step_id!r} before it is not taken in its place."
            )
            raise InputDataError(msg)


def _check_own(manifest: Manifest) -> None:
    """Refuse a folder that another training has written to since."""
    for file, sha256 in manifest.artifact_sha256.items():
        if is_mark(file) and (not storage.is_file(file) or storage.sha256_of(file) != sha256):
            msg = f"{file}: is not what step {manifest.step_id!r} wrote; run that step anew."
            raise InputDataError(msg)


def _told(file: str) -> Mapping[str, Any]:
    try:
        told = json.loads(storage.read_text(file))
    except (ValueError, RecursionError) as error:
        msg = f"{file}: is no JSON ({error}); run the step anew that trained the model."
        raise InputDataError(msg) from None
    if not isinstance(told, Mapping):
        msg = f"{file}: holds no JSON object; run the step anew that trained the model."
        raise InputDataError(msg)
    return told
