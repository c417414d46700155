"""Which CLIP model made vectors, as far as is known, and whether two models are the same."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_OPENAI_NAMES: Final = {
    "vit-b/32": "openai/clip-vit-base-patch32",
    "vit-b/16": "openai/clip-vit-base-patch16",
    "vit-l/14": "openai/clip-vit-large-patch14",
    "vit-l/14@336px": "openai/clip-vit-large-patch14-336",
}
"""The names of OpenAI's package, as used by clip-retrieval, and those on the Hugging Face hub."""

_OPEN_CLIP: Final = "open_clip:"
_DIGEST: Final = "sha256:"
_PATH: Final = re.compile(r"^(/|\./|\.\./|~|[A-Za-z]:\\)")


@dataclass(frozen=True)
class ModelIdentity:
    """A model, identified by its weights if known, and by its name.

    Args:
        name: A hub id, an `open_clip:` name, OpenAI's short name, or the name of a folder. The
            latter identifies nothing by itself: any model may be in a folder of that name.
        revision: The commit on the hub, if there is one.
        weights: The digest of its weights; see `models.runtime.weights`.
    """

    name: str | None = None
    revision: str | None = None
    weights: str | None = None

    @classmethod
    def of_field(cls, metadata: Mapping[str, Any]) -> "ModelIdentity | None":
        """Return the model named in the metadata of a vector field; None if it names none."""
        known = [metadata.get(key) for key in ("model_id", "revision", "weights")]
        name, revision, weights = (None if value is None else str(value) for value in known)
        return cls(name, revision, weights) if name or weights else None

    def as_field(self) -> dict[str, str | None]:
        """Return the metadata that `of_field` reads."""
        return {"model_id": self.name, "revision": self.revision, "weights": self.weights}

    @classmethod
    def of_index(cls, name: str | None, about: Mapping[str, Any]) -> "ModelIdentity | None":
        """Return the model of an index, according to its listing and its `image.json`."""
        metadata = {key: about.get(key) for key in ("revision", "weights")}
        return cls.of_field({**metadata, "model_id": name or about.get("model_id")})

    def __str__(self) -> str:
        """Return the name as shown to users."""
        digest = self.weights and self.weights[: len(_DIGEST) + 12]
        if self.name is None:
            return f"weights {digest}"
        return f"{self.name!r} (weights {digest})" if digest else repr(self.name)


def identify(model_id: str, revision: str | None = None) -> ModelIdentity:
    """Return what is known of a model by its name, without a download.

    The weights are known for a folder, and for a hub model that is already on this machine. The
    digest of weights, as `sha256:...`, is also a name.

    Raises:
        InputDataError: it is a folder, but not a model.
    """
    if model_id.startswith(_DIGEST):
        return ModelIdentity(weights=model_id)
    name = canonical_name(model_id)
    if name.startswith(_OPEN_CLIP):
        return ModelIdentity(name, revision)
    from image_toolkit.models.runtime.hub import model_here  # noqa: PLC0415 - a second

    given = model_id.removeprefix("hf_clip:")
    files = model_here(given if Path(given).expanduser().is_dir() else name, revision)
    if files is None:
        return ModelIdentity(model_id, revision)
    return ModelIdentity(model_id, files.revision, files.weights)


def same_model(one: ModelIdentity, other: ModelIdentity) -> bool | None:
    """Return whether two models are the same, by weights or else by global name; None if unknown.

    An open_clip name without its pretraining matches any pretraining. A name only counts if the
    revisions agree, where both are known.
    """
    if one.weights and other.weights:
        return one.weights == other.weights
    if not one.name or not other.name or _is_local(one.name) or _is_local(other.name):
        return None
    if not same_name(one.name, other.name):
        return False
    differs = one.revision and other.revision and one.revision != other.revision
    return None if differs else True


def same_name(one: str, other: str) -> bool:
    """Return whether two names are the same, in clip-retrieval's, OpenAI's or the hub's spelling.

    For folders, only the last path component counts, since a container mounts them elsewhere.
    """
    first, second = canonical_name(one), canonical_name(other)
    if first.startswith(_OPEN_CLIP) and second.startswith(_OPEN_CLIP):
        parts, others = first.split("/"), second.split("/")
        return parts[0] == others[0] and (len(parts) != len(others) or parts == others)
    if _is_local(first) or _is_local(second):
        first, second = (name.rsplit("/", maxsplit=1)[-1] for name in (first, second))
    return first == second


def clip_retrieval_name(model_id: str) -> str:
    """Return a model's name in the form of clip-retrieval's `clip_model` option."""
    if model_id.startswith((_OPEN_CLIP, "hf_clip:")):
        return model_id
    short = {long: name for name, long in _OPENAI_NAMES.items()}.get(model_id)
    return (
        short.replace("vit-b", "ViT-B").replace("vit-l", "ViT-L")
        if short
        else f"hf_clip:{model_id}"
    )


def canonical_name(name: str) -> str:
    """Return the name of a model on the hub, or else of its folder."""
    name = name.strip().removeprefix("hf_clip:").rstrip("/")
    return _OPENAI_NAMES.get(name.lower(), name)


def _is_local(name: str) -> bool:
    """Return whether a name is that of a folder: a path, or a name without the hub's owner part."""
    name = canonical_name(name)
    if name.startswith(_OPEN_CLIP):
        return False
    return bool(_PATH.match(name)) or name.count("/") != 1
