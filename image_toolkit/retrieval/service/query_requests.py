"""Requests to a `/knn-service`, checked field by field."""

import base64
import binascii
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from image_toolkit.retrieval.search.aesthetics import BEST_SCORE
from image_toolkit.retrieval.search.hits import FloatArray

MOST_RESULTS: Final = 10_000


class BadRequestError(ValueError):
    """A request that cannot be answered; the message says why."""


@dataclass(frozen=True)
class KnnRequest:
    """A query. One of `text`, `image` and `embedding` is set.

    `count` hits are wanted, with metadata for the first `described` of them.
    """

    indice_name: str
    modality: str
    count: int
    described: int
    text: str | None = None
    image: bytes | None = None
    embedding: FloatArray | None = None
    deduplicate: bool = False
    safe: bool = False
    aesthetic_score: int | None = None
    aesthetic_weight: float = 0.5


def read_request(content: object) -> KnnRequest:
    """Parse a request from a JSON body.

    Raises:
        BadRequestError: it does not follow the protocol.
    """
    if not isinstance(content, dict):
        msg = "the body must be a JSON object"
        raise BadRequestError(msg)
    if content.get("image_url") and not (content.get("text") or content.get("image")):
        msg = "image URLs are not fetched on a caller's behalf; send the image itself, as base64"
        raise BadRequestError(msg)
    described = _whole(content, "num_images")
    return KnnRequest(
        indice_name=_text(content, "indice_name"),
        modality=_text(content, "modality"),
        count=_whole(content, "num_result_ids", described),
        described=described,
        **_query(content),
        deduplicate=bool(content.get("deduplicate")),
        safe=bool(content.get("use_safety_model")),
        aesthetic_score=_score(content.get("aesthetic_score")),
        aesthetic_weight=_weight(content.get("aesthetic_weight")),
    )


def _query(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the first query present, in the protocol's order."""
    if text := content.get("text"):
        return {"text": str(text).encode(errors="replace").decode()}
    if image := content.get("image"):
        try:
            return {"image": base64.b64decode(image, validate=True)}
        except (binascii.Error, ValueError, TypeError):
            msg = "`image` must be an image in base64"
            raise BadRequestError(msg) from None
    embedding = content.get("embedding_input")
    if embedding is None:
        msg = "one of `text`, `image` and `embedding_input` is needed"
        raise BadRequestError(msg)
    try:
        vector = np.asarray(embedding, np.float32)
    except (TypeError, ValueError, OverflowError):
        vector = np.empty(0, np.float32)
    if vector.ndim != 1 or not vector.any() or not np.isfinite(vector).all():
        msg = "`embedding_input` must be a list of finite numbers, not all zero"
        raise BadRequestError(msg)
    return {"embedding": vector}


def _text(content: Mapping[str, Any], name: str) -> str:
    value = content.get(name)
    if not isinstance(value, str):
        msg = f"`{name}` must be a string"
        raise BadRequestError(msg)
    return value


def _whole(content: Mapping[str, Any], name: str, default: int | None = None) -> int:
    value = content.get(name, default)
    if type(value) is not int or not 1 <= value <= MOST_RESULTS:
        msg = f"`{name}` must be a whole number from 1 to {MOST_RESULTS}"
        raise BadRequestError(msg)
    return value


def _score(value: object) -> int | None:
    if value is None or value == "":
        return None
    if type(value) is not int or not 0 <= value <= BEST_SCORE:
        msg = f"`aesthetic_score` must be a whole number from 0 to {BEST_SCORE}"
        raise BadRequestError(msg)
    return value


def _weight(value: object) -> float:
    if value is None or value == "":
        return 0.5
    if not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= 1:
        msg = "`aesthetic_weight` must be a number from 0 to 1"
        raise BadRequestError(msg)
    return float(value)
