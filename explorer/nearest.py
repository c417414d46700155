"""Nearest images to an image or a text, by the vectors in the dataset."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from pyarrow.types import is_fixed_size_list

from explorer.tables import is_vector
from fondant_spec.dataset.lineage import find_row
from fondant_spec.dataset.manifest import Field, Manifest
from fondant_spec.dataset.partitions import read_batches
from fondant_spec.errors import InvalidArgumentError
from image_toolkit.retrieval.search.model_identity import ModelIdentity, same_model
from image_toolkit.retrieval.search.vectors import USUAL_COLUMNS, list_column
from image_toolkit.unit_vectors import unit_vectors

if TYPE_CHECKING:
    from image_toolkit.retrieval.search.query_encoders import QueryEncoders

MOST: Final = 600
_KEPT: Final = 32

Vector = NDArray[np.float32]
Ranking = dict[str, float]
"""Row ids with their similarity, nearest first."""


def holds_vectors(field: Field) -> bool:
    """Return whether a field holds vectors of images or texts, rather than other lists of numbers.

    Vectors have an embedder's metadata, a fixed size, or the usual name; the weights of an image's
    tags have none of these.
    """
    told = field.metadata.get("modality") or field.name in USUAL_COLUMNS
    return is_vector(field.type) and bool(told or is_fixed_size_list(field.type))


def vector_field(manifest: Manifest) -> Field | None:
    """Return the field with the image vectors, if there is one."""
    found = [one for one in manifest.fields.values() if holds_vectors(one)]
    named = [one for one in found if one.name == USUAL_COLUMNS[0]]
    known = [one for one in found if one.metadata.get("modality")]
    return next(iter([*named, *known, *found]), None)


def text_model(manifest: Manifest) -> str | None:
    """Return the model that can embed a text for comparison with the vectors."""
    field = vector_field(manifest)
    return None if field is None else field.metadata.get("model_id")


class Nearest:
    """Ranks rows by the cosine similarity of their vectors, read from the files batch by batch.

    `clip_model` is the model that embeds texts, for datasets that name their model only by a
    folder.
    """

    def __init__(self, clip_model: str | None = None) -> None:
        self._clip_model = clip_model
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str, str, str], Ranking] = {}
        self._encoders: dict[tuple[str, str | None], QueryEncoders] = {}

    def to_row(self, manifest: Manifest, row_id: str) -> Ranking:
        """Return the rows nearest to a row, beginning with the row itself.

        Raises:
            InvalidArgumentError: the dataset or the row has no vectors.
            InvalidDatasetError: there is no such row.
        """
        field = _required(manifest)

        def vector() -> Vector:
            value = find_row(manifest, row_id)[field.name]
            if value is None:
                msg = f"row {row_id} has no vector."
                raise InvalidArgumentError(msg)
            return np.asarray(value, np.float32)

        return self._ranked(manifest, field, ("row", row_id), vector)

    def to_text(self, manifest: Manifest, text: str) -> Ranking:
        """Return the rows nearest to a text.

        Raises:
            InvalidArgumentError: the dataset has no vectors, or does not name their model.
            InputDataError: the model is not available.
        """
        field = _required(manifest)
        return self._ranked(manifest, field, ("text", text), lambda: self._embedded(field, text))

    def _ranked(
        self, manifest: Manifest, field: Field, asked: tuple[str, str], vector: Callable[[], Vector]
    ) -> Ranking:
        known = (manifest.location, manifest.digest, *asked)
        with self._lock:
            if known not in self._known:
                if len(self._known) >= _KEPT:
                    del self._known[next(iter(self._known))]
                self._known[known] = _rank(manifest, field, vector())
            return self._known[known]

    def _embedded(self, field: Field, text: str) -> Vector:
        from image_toolkit.retrieval.search.query_encoders import QueryEncoders  # noqa: PLC0415

        model = field.metadata.get("model_id")
        if not isinstance(model, str):
            msg = f"field {field.name!r} does not say which model made it, so no text fits it."
            raise InvalidArgumentError(msg)
        own = self._clip_model
        known = (own, None) if own else (model, field.metadata.get("revision"))
        if known not in self._encoders:
            self._encoders[known] = QueryEncoders(*known)
        encoders = self._encoders[known]
        made_by, asked = (ModelIdentity.of_field(said) for said in (field.metadata, encoders.about))
        if not _is_one(made_by, asked):
            msg = f"{own} is model {asked}, and the vectors are of {made_by}."
            raise InvalidArgumentError(msg)
        return encoders.vector(text)


def _is_one(one: ModelIdentity | None, other: ModelIdentity | None) -> bool:
    """Return whether two models are the same: by their weights or, if unknown, by name."""
    if one is None or other is None:
        return False
    same = same_model(one, other)
    return one.name == other.name if same is None else same


def _required(manifest: Manifest) -> Field:
    field = vector_field(manifest)
    if field is None:
        msg = "the dataset has no vectors; embed its images (image_embedding) to have some."
        raise InvalidArgumentError(msg)
    return field


def _rank(manifest: Manifest, field: Field, query: Vector) -> Ranking:
    (query,) = unit_vectors(query[None])
    ids: list[str] = []
    scores = np.empty(0, np.float32)
    for partition in manifest.partitions:
        for batch in read_batches({"v": field}, manifest.index_location, partition.name):
            found = batch.filter(batch.column("v").is_valid())
            if not len(found):
                continue
            vectors = list_column(found.column("v"), len(query), f"field {field.name!r}")
            cosines = unit_vectors(vectors) @ query
            ids += found.column("id").to_pylist()
            scores = np.concatenate([scores, cosines])
            best = np.argsort(-scores, kind="stable")[:MOST]
            ids, scores = [ids[one] for one in best], scores[best]
    return dict(zip(ids, map(float, scores), strict=True))
