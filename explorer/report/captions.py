"""Caption statistics: token counts, repeated captions and shared phrases."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import pyarrow as pa

from explorer.distributions import Spread, spread_of
from explorer.overlay import quoted
from explorer.report.phrases import SharedPhrase, shared_phrases
from explorer.tables import Table, Tables
from image_toolkit.blank_texts import is_blank
from image_toolkit.training.base_models import BASE_MODELS
from image_toolkit.training.text_budgets import ENCODERS, counter_of

CAPTIONS: Final = ("caption", "text", "alt_text", "prompt")
"""Fields that hold captions, best first."""

_MORE: Final = "more_captions"
_LIMITS: Final = {"CLIP": (75, 150, 225)}
"""Tokens that trainers pass to CLIP: one, two or three chunks of a text."""

_SHOWN: Final = 12


@dataclass(frozen=True)
class TokenUse:
    """Token counts of captions for one text encoder.

    Attributes:
        encoder: The encoder's name.
        models: The base models that use it.
        is_exact: Whether its own tokenizer counted the tokens; otherwise the counts are estimates.
        longest: Tokens of the longest caption.
        within: For each limit, the number of captions that fit it but not the previous one.
        over: The number of captions longer than the last limit.
        spread: The distribution of token counts.
    """

    encoder: str
    models: tuple[str, ...]
    is_exact: bool
    longest: int
    within: dict[int, int]
    over: int
    spread: Spread


@dataclass(frozen=True)
class Captions:
    """Caption statistics of a dataset.

    Attributes:
        field: The caption field; a row's additional captions are counted as well.
        captions: The number of captions.
        missing: The number of rows without a caption, or with a blank one.
        tokens: Token counts, for each text encoder.
        repeated: The number of captions equal to another, ignoring case, accents and punctuation.
        most_repeated: Examples of these, one per text, with the number of captions.
        phrases: Phrases that many captions share.
    """

    field: str
    captions: int
    missing: int
    tokens: tuple[TokenUse, ...]
    repeated: int
    most_repeated: dict[str, int]
    phrases: tuple[SharedPhrase, ...]


def captions_of(tables: Tables, table: Table) -> Captions | None:
    """Return the caption statistics of a dataset; None if it has no captions."""
    field = next((name for name in CAPTIONS if table.written.get(name) == "VARCHAR"), None)
    if field is None:
        return None
    texts = _counted(tables, table.rows, quoted(field))
    missing = sum(count for text, count in texts.items() if is_blank(text))
    if table.written.get(_MORE) == "VARCHAR[]":
        more = f"(SELECT unnest({_MORE}) AS text FROM {table.rows})"
        texts += _counted(tables, more, "text")
    captions = {text: n for text, n in texts.items() if text is not None and not is_blank(text)}
    repeated = _repeated(tables, table, captions)
    return Captions(
        field=field,
        captions=sum(captions.values()),
        missing=missing,
        tokens=_token_uses(tables, table, captions) if captions else (),
        repeated=sum(repeated.values()),
        most_repeated=dict(list(repeated.items())[:_SHOWN]),
        phrases=tuple(shared_phrases(captions)),
    )


def _counted(tables: Tables, source: str, column: str) -> Counter[str | None]:
    sql = f"SELECT {column} AS text, count(*) AS n FROM {source} GROUP BY text ORDER BY text"
    return Counter({row["text"]: row["n"] for row in tables.rows(sql)})


def _repeated(tables: Tables, table: Table, captions: Mapping[str, int]) -> dict[str, int]:
    """Return repeated captions, each in one of its spellings, most frequent first."""
    columns = {"text": list(captions), "n": list(captions.values())}
    schema = pa.schema([("text", pa.string()), ("n", pa.int64())])
    name = tables.keep("captions", table.manifest, lambda: pa.table(columns, schema))
    said = r"trim(regexp_replace(lower(strip_accents(text)), '[^\pL\pN]+', ' ', 'g'))"
    sql = (
        f"SELECT arg_max(text, n) AS text, sum(n)::BIGINT AS n FROM {name} "
        f"WHERE {said} <> '' GROUP BY {said} HAVING sum(n) > 1 ORDER BY n DESC, text"
    )
    return {row["text"]: row["n"] for row in tables.rows(sql)}


def _token_uses(tables: Tables, table: Table, captions: Mapping[str, int]) -> tuple[TokenUse, ...]:
    counts = np.fromiter(captions.values(), np.int64)
    exact: dict[str, bool] = {}
    tokens: dict[str, np.ndarray[tuple[int], np.dtype[np.int32]]] = {}
    for encoder in ENCODERS:
        count, exact[encoder] = counter_of(encoder)
        tokens[encoder] = np.fromiter(map(count, captions), np.int32)
    columns = {name: np.repeat(own, counts) for name, own in tokens.items()}
    name = tables.keep("tokens", table.manifest, lambda: pa.table(columns))
    return tuple(
        _token_use(encoder, own, exact[encoder], spread_of(tables, name, (), encoder, "INTEGER"))
        for encoder, own in columns.items()
    )


def _token_use(
    encoder: str,
    tokens: "np.ndarray[tuple[int], np.dtype[np.int32]]",
    exact: bool,  # noqa: FBT001 - one of the things that are told
    spread: Spread,
) -> TokenUse:
    models = [model for model in BASE_MODELS.values() if model.encoder == encoder]
    limits = _LIMITS.get(encoder, tuple(sorted({model.most_tokens for model in models})))
    within = {
        limit: int(np.count_nonzero((tokens > before) & (tokens <= limit)))
        for before, limit in pairwise((-1, *limits))
    }
    return TokenUse(
        encoder,
        tuple(model.name for model in models),
        exact,
        int(tokens.max()),
        within,
        int(np.count_nonzero(tokens > limits[-1])),
        spread,
    )
