"""Which metadata columns hold URLs, captions and scores, under their many names."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from fondant_spec.errors import InvalidArgumentError, did_you_mean

_URL: Final = ("url", "image_url", "img_url", "link")
_CAPTION: Final = ("caption", "text", "alt_text", "alt", "top_caption")
_UNSAFE: Final = ("punsafe", "p_unsafe", "nsfw_score", "nsfw")
_WATERMARK: Final = ("pwatermark", "p_watermark", "watermark")


@dataclass(frozen=True)
class MetadataColumns:
    """The names of the index columns that retrieval reads.

    None stands for a column that the index lacks. `extra` are columns that the step passes through
    under their own names.
    """

    url: str
    caption: str | None
    unsafe: str | None
    watermark: str | None
    extra: tuple[str, ...] = ()

    def wanted(self) -> list[str]:
        """Return the names of all these columns, without repeats."""
        named = (self.url, self.caption, self.unsafe, self.watermark, *self.extra)
        return list(dict.fromkeys(name for name in named if name is not None))


@dataclass(frozen=True)
class ColumnChoice:
    """The user's choice of metadata columns.

    None stands for the usual names, in any case: LAION writes `URL` and `TEXT`, clip-retrieval
    `url` and `caption`.
    """

    url_column: str | None = None
    caption_column: str | None = None


def find_columns(
    available: Sequence[str] | None,
    choice: ColumnChoice,
    *,
    extra: Sequence[str] = (),
) -> MetadataColumns:
    """Return the columns to read; `available` is None if a service does not list its columns.

    Raises:
        InvalidArgumentError: a requested column does not exist.
    """
    url, caption = choice.url_column, choice.caption_column
    if available is None:
        return MetadataColumns(
            url or "url", caption or "caption", "punsafe", "pwatermark", tuple(extra)
        )
    for name in [url, caption, *extra]:
        if name is not None and name not in available:
            msg = (
                f"the index has no metadata column {name!r}"
                f"{did_you_mean(name, list(available))} It has: {', '.join(available)}."
            )
            raise InvalidArgumentError(msg)
    found_url = url or _first(available, _URL)
    if found_url is None:
        msg = (
            f"url_column: the index has no column of the usual names ({', '.join(_URL)}). Say "
            f"which of its columns holds the URLs: {', '.join(available)}."
        )
        raise InvalidArgumentError(msg)
    return MetadataColumns(
        found_url,
        caption or _first(available, _CAPTION),
        _first(available, _UNSAFE),
        _first(available, _WATERMARK),
        tuple(extra),
    )


def score_columns(available: Sequence[str]) -> MetadataColumns:
    """Return the score columns alone, for an index whose URL column may be unknown."""
    unsafe, watermark = _first(available, _UNSAFE), _first(available, _WATERMARK)
    return MetadataColumns("url", None, unsafe, watermark)


def rename_usual(table: pa.Table) -> pa.Table:
    """Return `table` with its URL column renamed to `url` and its caption column to `caption`.

    These are the names that clip-retrieval's service returns by default.
    """
    names = table.column_names
    new = {_first(names, _URL): "url", _first(names, _CAPTION): "caption"}
    return table.rename_columns([new.get(name, name) for name in names])


def _first(available: Sequence[str], names: Sequence[str]) -> str | None:
    by_lower = {name.lower(): name for name in reversed(available)}
    return next((by_lower[name] for name in names if name in by_lower), None)
