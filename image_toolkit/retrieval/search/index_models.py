"""Refuse an index whose vectors were made by another model than the seeds', or by an unknown one.

Vectors of two models with the same dimension can be compared, but the result is meaningless.
"""

import logging
from collections.abc import Mapping
from typing import Any

from fondant_spec.errors import InputDataError
from image_toolkit.retrieval.search.hits import IndexInfo
from image_toolkit.retrieval.search.model_identity import (
    ModelIdentity,
    identify,
    same_model,
    same_name,
)

logger = logging.getLogger(__name__)


def check_index_fits(
    info: IndexInfo,
    field_metadata: Mapping[str, Any],
    index_model_id: str | None = None,
) -> None:
    """Refuse an index of another model or another dimension than the query vectors.

    `field_metadata` describes the query vectors, as written by the step that made them: `model_id`,
    `revision`, `weights`, `dimension`. `index_model_id` is the user's statement of the index's
    model, for an index that does not say enough itself: a name, a folder, or the digest of weights.

    Raises:
        InputDataError: the models or dimensions differ (both are named), or the index does not
            state its model.
    """
    seeds, dimension = ModelIdentity.of_field(field_metadata), field_metadata.get("dimension")
    if dimension and info.dimension and dimension != info.dimension:
        raise _another(info, info.model, seeds, dimension)
    if seeds is None:
        logger.warning(
            "%s: it is not known which model made the seeds' vectors; the index's are of %s",
            *(info.location, info.model or index_model_id or "an unnamed model"),
        )
        return
    same = same_model(info.model, seeds) if info.model else None
    if same is None and index_model_id is not None:
        if not _is_meant(index_model_id, seeds):
            raise _another(info, ModelIdentity(index_model_id), seeds, dimension)
        return
    if same is None:
        raise _unknown(info, seeds)
    if not same:
        raise _another(info, info.model, seeds, dimension)


def _is_meant(word: str, seeds: ModelIdentity) -> bool:
    """Return whether the user's name for a model refers to that of the seeds."""
    meant = identify(word)
    same = same_model(meant, seeds)
    if same is None and meant.name and seeds.name:  # names of folders: whoever states one means it
        return same_name(meant.name, seeds.name)
    return bool(same)


def _unknown(info: IndexInfo, seeds: ModelIdentity) -> InputDataError:
    said = (
        f"says only that its model is called {info.model.name!r}"
        if info.model
        else ("does not say which model made its vectors")
    )
    return InputDataError(
        f"{info.location}: this index {said}, so it is not known whether that is the model of the "
        f"field `embedding`, {seeds}. If it is, say so with index_model_id={seeds.name!r}; "
        f"`fondant-spec index check INDEX --model MODEL` measures it with some of its own images."
    )


def _another(
    info: IndexInfo, model: ModelIdentity | None, seeds: ModelIdentity | None, dimension: object
) -> InputDataError:
    return InputDataError(
        f"{info.location}: this index holds {_vectors(model, info.dimension)}, but the "
        f"field `embedding` holds {_vectors(seeds, dimension)}. Embed the seeds with the index's "
        f"model, or use an index made with theirs."
    )


def _vectors(model: ModelIdentity | None, dimension: object) -> str:
    of_model = f"vectors of {model or 'an unnamed model'}"
    return f"{of_model}, {dimension} dimensions" if dimension else of_model
