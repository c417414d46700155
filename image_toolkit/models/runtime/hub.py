"""Resolve a model id or folder to files that are safe to load: safetensors, no code, pinned."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from huggingface_hub import get_repo_discussions, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from fondant_spec.errors import InputDataError
from image_toolkit.hub_errors import hub_failures_told
from image_toolkit.models.runtime.weights import folder_digest, weights_digest

SAFE_FILES: Final = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "*.tiktoken")
"""What is downloaded from a repository: never Python code, never pickled weights."""

_SKIPPED_FILES: Final = ("*/*", "open_clip_*", "*fp16*", "*fp32*")
_PICKLED: Final = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.msgpack", "*.h5")
_WHOLE: Final = "model.safetensors"
_CONVERSION_BOT: Final = "SFconvertbot"


@dataclass(frozen=True)
class ModelFiles:
    """A model's folder on this machine.

    `name` identifies the model on any machine: the id on the hub, or the name of a local folder.
    `revision` is the commit on the hub, or a digest of the folder's content.
    """

    name: str
    revision: str
    folder: Path

    @property
    def config(self) -> dict[str, Any]:
        """The content of the model's `config.json`."""
        return read_json(self.folder / "config.json")

    @property
    def weights(self) -> str:
        """The digest of the weights, the same for every copy, whatever its name."""
        whole, listing = self.folder / _WHOLE, self.folder / f"{_WHOLE}.index.json"
        if whole.is_file():
            return weights_digest([whole])
        if listing.is_file():
            names = {*read_json(listing).get("weight_map", {}).values()}
            return weights_digest([self.folder / name for name in names])
        return weights_digest(_weights(self.folder))

    @property
    def kind(self) -> str:
        """The architecture as `transformers` names it: `clip`, `siglip`, `blip`, ..."""
        return str(self.config.get("model_type", ""))

    @property
    def stored_dtype(self) -> str:
        """The type in which weights are stored, according to the configuration: `float32`, ..."""
        config = self.config
        return str(config.get("dtype") or config.get("torch_dtype") or "float32")


def find_model(model_id: str, revision: str | None = None) -> ModelFiles:
    """Return the files of a model, downloaded from the hub unless `model_id` is a local folder.

    Raises:
        InputDataError: there is no such model, it is gated, it is not available offline, or it has
            no safetensors weights.
    """
    if not str(model_id).strip():
        msg = "No model is named: give an id of the Hugging Face hub, or the folder of a model."
        raise InputDataError(msg)
    local = local_folder(model_id)
    if local is not None:
        return _local_model(model_id, local)
    folder = _snapshot(model_id, revision)
    if not _weights(folder):
        folder = _converted(model_id, revision)
    check_config(model_id, folder)
    return ModelFiles(model_id, folder.name, folder)


def local_folder(model_id: str) -> Path | None:
    """Return the folder that a model's name refers to; None if it is an id on the hub.

    Raises:
        InputDataError: it is a path without a folder.
    """
    folder = Path(model_id).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_absolute() or model_id.startswith("."):
        msg = f"Model {model_id!r}: there is no such folder."
        raise InputDataError(msg)
    return None


def model_here(model_id: str, revision: str | None = None) -> ModelFiles | None:
    """Return the files of a model, as `find_model`, but only if they are already on this machine.

    Raises:
        InputDataError: it is a folder, but not a model.
    """
    folder = Path(model_id).expanduser()
    if folder.is_dir():
        return _local_model(model_id, folder)
    try:
        kept = snapshot_download(
            model_id,
            revision=revision,
            local_files_only=True,
            allow_patterns=list(SAFE_FILES),
            ignore_patterns=list(_SKIPPED_FILES),
        )
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    found = ModelFiles(model_id, Path(kept).name, Path(kept))
    return found if _weights(found.folder) else None


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file of a model.

    Raises:
        InputDataError: the file does not exist, or is not a JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        msg = f"Model file {path} cannot be read: {error}"
        raise InputDataError(msg) from error
    if not isinstance(value, dict):
        msg = f"Model file {path} must hold a JSON object, not a {type(value).__name__}."
        raise InputDataError(msg)
    return value


def check_config(model_id: str, folder: Path) -> None:
    """Refuse a folder that is not a model, or whose weights are not safetensors."""
    if not (folder / "config.json").is_file():
        msg = f"Model {model_id!r}: {folder} has no config.json, so it is no transformers model."
        raise InputDataError(msg)
    if not _weights(folder):
        raise _only_pickled(model_id, [path.name for path in _matching(folder, _PICKLED)])
    for listing in sorted(folder.glob("*.safetensors.index.json")):
        _check_listing(listing)


def _check_listing(listing: Path) -> None:
    """Refuse a weight index that names other files than those beside it."""
    named = read_json(listing).get("weight_map")
    if not isinstance(named, dict) or not all(isinstance(name, str) for name in named.values()):
        msg = f"Model file {listing} is damaged: it has no `weight_map` from weights to files."
        raise InputDataError(msg)
    there = {path.name for path in _weights(listing.parent)}
    if missing := sorted({*named.values()} - there):
        msg = (
            f"Model file {listing} names {missing[0]!r}, which is no safetensors file beside it: "
            "download the model again."
        )
        raise InputDataError(msg)


def _local_model(model_id: str, folder: Path) -> ModelFiles:
    check_config(model_id, folder)
    revision = folder_digest(folder, sorted(_matching(folder, SAFE_FILES)))
    return ModelFiles(folder.resolve().name, revision, folder)


def _matching(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    return [path for pattern in patterns for path in sorted(folder.glob(pattern))]


def _weights(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def _snapshot(model_id: str, revision: str | None) -> Path:
    with hub_failures_told("model", model_id, revision):
        folder = snapshot_download(
            model_id,
            revision=revision,
            allow_patterns=list(SAFE_FILES),
            ignore_patterns=list(_SKIPPED_FILES),
        )
    return Path(folder)


def _converted(model_id: str, revision: str | None) -> Path:
    """Return the folder with the safetensors that the hub's own bot made from pickled weights.

    They were made from the newest revision at that time: so they never substitute a requested
    revision.
    """
    reference = _conversion(model_id)
    if reference is None:
        raise _only_pickled(model_id, [])
    if revision is not None:
        msg = (
            f"Model {model_id!r} has no safetensors weights in its revision {revision!r}, and "
            f"pickled ones are refused. The hub has converted it, at a time of its own, to the "
            f"revision {reference!r}: ask for that one, or for none."
        )
        raise InputDataError(msg)
    return _snapshot(model_id, reference)


def _conversion(model_id: str) -> str | None:
    """Return the revision of the hub's own conversion to safetensors, if there is one."""
    try:
        found = get_repo_discussions(
            model_id, author=_CONVERSION_BOT, discussion_type="pull_request"
        )
        references = [pull.git_reference for pull in found if pull.status != "closed"]
    except (OSError, HfHubHTTPError):
        return None
    return next((one for one in references if one is not None), None)


def _only_pickled(model_id: str, names: list[str]) -> InputDataError:
    listed = f" ({', '.join(names)})" if names else ""
    return InputDataError(
        f"Model {model_id!r} has no safetensors weights{listed}. Pickled weights can run code when "
        f"they are loaded, so they are refused: convert it (`save_pretrained` writes safetensors), "
        f"or choose another model.",
    )
