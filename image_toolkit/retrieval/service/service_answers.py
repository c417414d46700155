"""Answers of a `/knn-service`, validated before anything in them is used."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa


class BadAnswerError(ValueError):
    """The service's answer does not follow its protocol."""


@dataclass(frozen=True)
class Hit:
    """A hit: the row in the index, the cosine, and the columns that the service returned."""

    index_id: int
    similarity: float
    metadata: Mapping[str, Any]


def read_answer(content: object, count: int) -> list[Hit]:
    """Return the hits in a service's answer, best first, each index row once.

    Raises:
        BadAnswerError: the content is not a list of at most `count` hits.
    """
    if not isinstance(content, list):
        detail = content.get("message") if isinstance(content, dict) else None
        msg = f"expected a list of hits, not {detail or type(content).__name__}"
        raise BadAnswerError(msg)
    if len(content) > count:
        msg = f"{len(content)} hits instead of at most {count}"
        raise BadAnswerError(msg)
    hits = {hit.index_id: hit for hit in map(_read_hit, content) if hit.index_id >= 0}
    return sorted(hits.values(), key=lambda hit: -hit.similarity)


def metadata_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pa.Table:
    """Return the named columns of JSON rows; mixed types become strings."""
    return pa.table({name: _column([row.get(name) for row in rows]) for name in columns})


def _read_hit(content: object) -> Hit:
    if not isinstance(content, dict):
        msg = f"a hit is {type(content).__name__}, not an object"
        raise BadAnswerError(msg)
    metadata = dict(content)
    index_id, similarity = metadata.pop("id", None), metadata.pop("similarity", None)
    if type(index_id) is not int or not isinstance(similarity, int | float):
        msg = "a hit has no whole `id` or no numeric `similarity`"
        raise BadAnswerError(msg)
    if not math.isfinite(similarity):
        msg = f"the similarity of {index_id} is {similarity}"
        raise BadAnswerError(msg)
    return Hit(index_id, float(similarity), metadata)


def _column(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([None if value is None else str(value) for value in values], pa.string())
