"""Scores of hits for unsafe content and watermarks, in whatever type an index has them."""

import logging
from collections.abc import Collection
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fondant_spec.errors import InputDataError
from image_toolkit.retrieval.search.hits import BoolArray

logger = logging.getLogger(__name__)

_WORDS: Final = {
    **dict.fromkeys(("nsfw", "unsafe", "true", "yes"), 1.0),
    **dict.fromkeys(("unlikely", "unsure", "safe", "sfw", "false", "no"), 0.0),
    **dict.fromkeys(("", "none", "null", "n/a", "?"), None),
}
"""Verdicts in words, such as LAION-400M's NSFW, UNLIKELY and UNSURE; None means no verdict."""

_MOST_TOLD: Final = 5

Told = set[tuple[str, str]]
"""Pairs of column and word that were already warned about."""


def check_scores(schema: pa.Schema, column: str | None, limit: float, argument: str) -> None:
    """Check that a column can be compared with a limit, as far as its type is known.

    Raises:
        InputDataError: its type cannot be a score.
    """
    if limit >= 1 or column is None or column not in schema.names:
        return
    kind = schema.field(column).type
    if not _is_score(kind):
        raise InputDataError(_no_score(column, kind, argument))


def exceeds(
    metadata: pa.Table, column: str | None, limit: float, argument: str, told: Told
) -> BoolArray:
    """Return which rows have a score above `limit`; a missing score is not above it.

    A text that is neither a number nor a known word counts as above: the filter does not pass what
    it cannot read. Each such text is logged once: `told` collects those already logged.

    Raises:
        InputDataError: the type of the column cannot be a score.
    """
    check_scores(metadata.schema, column, limit, argument)
    if limit >= 1 or column is None or column not in metadata.schema.names:
        return np.zeros(metadata.num_rows, np.bool_)
    scores = metadata[column].combine_chunks()
    if pa.types.is_dictionary(scores.type):
        scores = scores.cast(scores.type.value_type)
    if _is_text(scores.type):
        scores, unread = _numbers_of(scores)
        _tell([word for word in unread if (column, word) not in told], column, argument)
        told.update((column, word) for word in unread)
    above = pc.greater(scores.cast(pa.float64(), safe=False), limit)
    mask: BoolArray = pc.fill_null(above, fill_value=False).to_numpy(zero_copy_only=False)
    return mask


def _numbers_of(texts: pa.Array) -> tuple[pa.Array, list[str]]:
    """Convert texts to numbers, unknown ones to infinity, and return the unknown ones as well."""
    encoded = texts.cast(pa.large_string()).dictionary_encode()
    known = encoded.dictionary.to_pylist()
    numbers = [_number(text) for text in known]
    unread = [text for text, number in zip(known, numbers, strict=True) if number == np.inf]
    return pa.array(numbers, pa.float64()).take(encoded.indices), unread


def _number(text: str) -> float | None:
    word = text.strip().casefold()
    if word in _WORDS:
        return _WORDS[word]
    try:
        return float(word)
    except ValueError:
        return np.inf


def _tell(unread: Collection[str], column: str, argument: str) -> None:
    if unread:
        some = ", ".join(map(repr, sorted(unread)[:_MOST_TOLD]))
        logger.warning(
            "%s: the index says of images in %r what is neither a number nor a known word (%s); "
            "they are left out. Set %s to 1 to keep them.",
            argument,
            column,
            some,
            argument,
        )


def _no_score(column: str, kind: pa.DataType, argument: str) -> str:
    return (
        f"{argument}: the index's column {column!r} is of the type {kind}, which is no score. "
        "Write it anew as numbers from 0 to 1, as truths, or as words such as NSFW; or have "
        f"laion_retrieval keep all images, whatever it says of them: {argument}=1."
    )


def _is_score(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_score(kind.value_type)
    return bool(
        _is_text(kind)
        or pa.types.is_null(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
    )


def _is_text(kind: pa.DataType) -> bool:
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return bool(is_text or pa.types.is_string_view(kind))
