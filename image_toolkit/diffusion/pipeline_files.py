"""Resolve a model id or folder to the files of a diffusers pipeline that are safe to load."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import EntryNotFoundError

from fondant_spec.errors import InputDataError
from image_toolkit.hub_errors import hub_failures_told
from image_toolkit.models.runtime.hub import SAFE_FILES, ModelFiles, local_folder, read_json
from image_toolkit.models.runtime.weights import folder_digest

INDEX: Final = "model_index.json"
LEFT_OUT: Final = ("safety_checker", "feature_extractor", "image_encoder")
"""Parts that are not loaded: the filter for generated images, and what encodes input images."""

_VARIANTS: Final = ("*.fp16*", "*.non_ema*", "*.ema*")
"""Further copies of the weights; the names of those that are loaded do not match."""

_PICKLED: Final = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.msgpack", "*.h5")


def find_pipeline(model_id: str, revision: str | None = None) -> ModelFiles:
    """Return the files of a pipeline, downloaded from the hub unless `model_id` is a local folder.

    From the hub, only configuration and safetensors weights are downloaded, all of the same commit.

    Raises:
        InputDataError: there is no such model, it is gated, it is not available offline, it is not
            a diffusers pipeline, or some of its weights are not safetensors.
    """
    if not model_id.strip():
        msg = "No model is named: give an id of the Hugging Face hub, or the folder of a pipeline."
        raise InputDataError(msg)
    local = local_folder(model_id)
    if local is not None:
        _check_parts(model_id, local)
        return ModelFiles(local.resolve().name, folder_digest(local, loaded_files(local)), local)
    folder = _fetched(model_id, revision)
    _check_parts(model_id, folder)
    return ModelFiles(model_id, folder.name, folder)


def read_index(folder: Path) -> dict[str, Any]:
    """Return the content of a pipeline's `model_index.json`.

    Raises:
        InputDataError: the file does not exist, or is not a JSON object.
    """
    return read_json(folder / INDEX)


def parts_of(index: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Return the library and class of each part of a pipeline that is loaded, by name."""
    return {
        name: (value[0], value[1])
        for name, value in index.items()
        if isinstance(value, list)
        and [type(one) for one in value] == [str, str]
        and not name.startswith("_")
        and name not in LEFT_OUT
    }


def _fetched(model_id: str, revision: str | None) -> Path:
    """Return the folder of a hub pipeline, after downloading the parts that are loaded."""
    try:
        with hub_failures_told("model", model_id, revision):
            index = Path(hf_hub_download(model_id, INDEX, revision=revision))
    except EntryNotFoundError:
        raise _no_pipeline(model_id) from None
    parts = parts_of(read_json(index))
    with hub_failures_told("model", model_id, revision):
        folder = snapshot_download(
            model_id,
            revision=index.parent.name,
            allow_patterns=[INDEX, *(f"{part}/{name}" for part in parts for name in SAFE_FILES)],
            ignore_patterns=list(_VARIANTS),
        )
    return Path(folder)


def _check_parts(model_id: str, folder: Path) -> None:
    """Refuse a folder that is not a pipeline, or has a model without safetensors weights."""
    if not (folder / INDEX).is_file():
        raise _no_pipeline(model_id)
    for part in parts_of(read_index(folder)):
        if not (folder / part).is_dir():
            msg = f"Model {model_id!r}: its part {part!r} is missing; download the model again."
            raise InputDataError(msg)
        if (folder / part / "config.json").is_file() and not _weights(folder / part):
            raise _no_weights(model_id, part, folder / part)


def _weights(folder: Path) -> list[Path]:
    return sorted({*folder.glob("*.safetensors")} - _variants(folder))


def _variants(folder: Path) -> set[Path]:
    return {path for pattern in _VARIANTS for path in folder.glob(pattern)}


def loaded_files(folder: Path) -> Iterator[Path]:
    """Yield all files in a pipeline's folder that are loaded."""
    yield folder / INDEX
    for part in sorted(parts_of(read_index(folder))):
        variants = _variants(folder / part)
        for pattern in SAFE_FILES:
            yield from sorted({*(folder / part).glob(pattern)} - variants)


def _no_pipeline(model_id: str) -> InputDataError:
    return InputDataError(
        f"Model {model_id!r} has no {INDEX}, so it is no diffusers pipeline. Of a single file with "
        "weights, diffusers' `from_single_file` and `save_pretrained` make one."
    )


def _no_weights(model_id: str, part: str, folder: Path) -> InputDataError:
    names = [path.name for pattern in _PICKLED for path in sorted(folder.glob(pattern))]
    listed = f" ({', '.join(names)})" if names else ""
    return InputDataError(
        f"Model {model_id!r} has no safetensors weights of its part {part!r}{listed}. Pickled "
        "weights can run code when they are loaded, and variants such as fp16 are not loaded: "
        "convert it (`save_pretrained` writes safetensors), or choose another model."
    )
