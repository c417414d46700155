"""Which CLIP model an index and a query come from, under the names that different tools give it."""

import logging
import re
from collections.abc import Mapping
from typing import Any, Final

from fondant_spec.errors import InputDataError
from image_toolkit.retrieval.search.hits import IndexInfo

logger = logging.getLogger(__name__)

_OPENAI_NAMES: Final = {
    "vit-b/32": "openai/clip-vit-base-patch32",
    "vit-b/16": "openai/clip-vit-base-patch16",
    "vit-l/14": "openai/clip-vit-large-patch14",
    "vit-l/14@336px": "openai/clip-vit-large-patch14-336",
}
"""The names of OpenAI's package, as used by clip-retrieval, and those of the Hugging Face hub."""

_PATH: Final = re.compile(r"^(/|\./|\.\./|~|[A-Za-z]:\\)")


def same_model(one: str, other: str) -> bool:
    """Return whether two names mean the same CLIP model.

    clip-retrieval's `hf_clip:` prefix, OpenAI's short names and the hub's long ones are matched. An
    open_clip name without its pretraining matches any pretraining; of local folders only the last
    part of the path counts, since a container mounts them elsewhere.
    """
    first, second = _canonical(one), _canonical(other)
    if first.startswith("open_clip:") and second.startswith("open_clip:"):
        parts, others = first.split("/"), second.split("/")
        return parts[0] == others[0] and (len(parts) != len(others) or parts == others)
    if "/" not in first or "/" not in second:  # the name of a local folder
        first, second = (name.rsplit("/", maxsplit=1)[-1] for name in (first, second))
    return first == second


def clip_retrieval_name(model_id: str) -> str:
    """Return a model's name as clip-retrieval's `clip_model` option wants it."""
    if model_id.startswith(("open_clip:", "hf_clip:")):
        return model_id
    short = {long: name for name, long in _OPENAI_NAMES.items()}.get(model_id)
    return (
        short.replace("vit-b", "ViT-B").replace("vit-l", "ViT-L")
        if short
        else f"hf_clip:{model_id}"
    )


def check_index_fits(
    info: IndexInfo,
    field_metadata: Mapping[str, Any],
    index_model_id: str | None = None,
) -> None:
    """Refuse an index of another model, or of another dimension, than the vectors to be looked up.

    `field_metadata` is what the step that made the vectors said of them: `model_id`, `dimension`.
    `index_model_id` is the user's word for the index's model, where it does not state it itself.

    Raises:
        InputDataError: naming both models and both dimensions.
    """
    model, dimension = field_metadata.get("model_id"), field_metadata.get("dimension")
    index_model = info.model_id or index_model_id
    if not index_model or not model:
        logger.warning(
            "%s: it is not known whether the seeds' vectors and the index's are of one model (%s "
            "and %s); name the index's with index_model_id",
            *(info.location, model or "unknown", index_model or "unknown"),
        )
    wrong_model = bool(model and index_model and not same_model(str(model), index_model))
    wrong_dimension = bool(dimension and info.dimension and dimension != info.dimension)
    if not wrong_model and not wrong_dimension:
        return
    msg = (
        f"{info.location}: this index holds {_vectors(index_model, info.dimension)}, but the "
        f"field `embedding` holds {_vectors(model, dimension)}. Embed the seeds with the index's "
        f"model, or use an index made with theirs."
    )
    raise InputDataError(msg)


def _vectors(model: object, dimension: object) -> str:
    of_model = f"vectors of {model!r}" if model else "vectors of an unnamed model"
    return f"{of_model}, {dimension} dimensions" if dimension else of_model


def _canonical(name: str) -> str:
    name = name.strip().removeprefix("hf_clip:").rstrip("/")
    if _PATH.match(name):
        return name.rsplit("/", maxsplit=1)[-1]
    return _OPENAI_NAMES.get(name.lower(), name)
