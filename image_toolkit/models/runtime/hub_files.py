"""Individual files of a model that no library loads by itself, from a folder or the hub."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError

from fondant_spec.errors import InputDataError
from image_toolkit.hub_errors import hub_failures_told
from image_toolkit.models.runtime.hub import ModelFiles, local_folder
from image_toolkit.models.runtime.weights import folder_digest

_ON_HUB: Final = re.compile(
    r"hf://(?P<model>[\w.-]+/[\w.-]+)(@(?P<revision>[^/@]+))?/(?P<file>[^@]+)"
)


def find_files(model_id: str, names: Sequence[str], revision: str | None = None) -> ModelFiles:
    """Return the folder with some files of a model, all of the same revision.

    Args:
        model_id: a local folder, or an id on the hub.
        names: file names, such as `model.onnx`.
        revision: commit, branch or tag on the hub; None is the newest.

    Raises:
        InputDataError: there is no such model, it lacks a file, or it cannot be downloaded.
    """
    local = local_folder(model_id)
    if local is not None:
        for name in names:
            if not (local / name).is_file():
                raise _lacking(model_id, name)
        digest = folder_digest(local, (local / name for name in names))
        return ModelFiles(local.resolve().name, digest, local)
    commit = revision
    for name in names:
        file = _fetched(model_id, name, commit)
        folder = file.parents[len(PurePosixPath(name).parts) - 1]
        commit = folder.name
    return ModelFiles(model_id, folder.name, folder)


def find_file(location: str) -> Path:
    """Return a file on this machine, or one from the hub: `hf://OWNER/NAME[@REVISION]/FILE`.

    Raises:
        InputDataError: there is no such file, or it cannot be downloaded.
    """
    if not location.startswith("hf://"):
        return Path(location).expanduser()
    found = _ON_HUB.fullmatch(location)
    if found is None:
        msg = f"{location}: name a file of the hub as hf://OWNER/NAME/FILE."
        raise InputDataError(msg)
    return _fetched(found["model"], found["file"], found["revision"])


def _fetched(model_id: str, name: str, revision: str | None) -> Path:
    try:
        with hub_failures_told("model", model_id, revision):
            return Path(hf_hub_download(model_id, name, revision=revision))
    except EntryNotFoundError:
        raise _lacking(model_id, name) from None


def _lacking(model_id: str, name: str) -> InputDataError:
    return InputDataError(f"Model {model_id!r} has no file {name}.")
