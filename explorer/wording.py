"""How values are written on a page."""

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from markupsafe import Markup, escape

from image_toolkit.edits.cells import Cell

_HIDDEN: Final = re.compile(
    "[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)
"""Characters that nobody sees, some of which turn text round. U+200D, which joins emoji, stays."""

_JOINER: Final = "\u200d"
_LONGEST: Final = 400
_SHORTEST: Final = 0.001


def visible(value: Any) -> Markup:
    """Return a text with a mark for each character that nobody would see."""
    parts: list[str | Markup] = []
    end = 0
    text = str(value)
    for match in _HIDDEN.finditer(text):
        if match[0] == _JOINER:
            continue
        parts += [text[end : match.start()], _mark(match[0])]
        end = match.end()
    return Markup("").join([*parts, text[end:]])


def cell(value: Any) -> Markup:
    """Return any value of a row, in one short text."""
    if value is None:
        return Markup('<span class="none">none</span>')
    if isinstance(value, bool):
        return escape("yes" if value else "no")
    if isinstance(value, float):
        return escape(number(value))
    if isinstance(value, bytes):
        return escape(f"{len(value):,} bytes")
    if isinstance(value, list) and len(value) > 8 and isinstance(value[0], float):  # noqa: PLR2004
        return escape(f"{len(value)} numbers")
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return visible(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


def number(value: float | None) -> str:
    """Return a number with as many digits as say something."""
    if value is None:
        return "none"
    if isinstance(value, int):
        return f"{value:,}"
    if value == int(value) if abs(value) < 1e15 else False:  # noqa: PLR2004
        return f"{value:,.0f}"
    return f"{value:,.4g}" if abs(value) >= _SHORTEST else f"{value:.2e}"


def share(part: float, whole: float) -> str:
    """Return a part in percent, never rounded to nothing or to all."""
    percent = 100 * part / whole if whole else 0.0
    if 0 < percent < 1:
        return "< 1 %"
    return "> 99 %" if 99 < percent < 100 else f"{percent:.0f} %"  # noqa: PLR2004


def literal(value: Any) -> str:
    """Return a value as it stands in an expression."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    escaped = str(value).replace("'", "''")
    return f"'{escaped}'"


def column(name: str) -> str:
    """Return a column's name as a person would write it in an expression."""
    escaped = name.replace('"', '""')
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else f'"{escaped}"'


def both(one: str, other: str) -> str:
    """Return the expression that holds where two do."""
    return f"({one}) AND {other}" if one else other


def heads(cells: Mapping[str, Cell]) -> str:
    """Return which edits of an image are shown, by field, as JSON."""
    return json.dumps({field: one.ids for field, one in cells.items()})


def moment(text: str) -> str:
    """Return a time of an edit or a run, to the minute, in UTC."""
    try:
        return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M}"
    except ValueError:
        return text


def _mark(character: str) -> Markup:
    name = unicodedata.name(character, f"U+{ord(character):04X}").title()
    return Markup('<span class="hidden-character" title="{}">U+{:04X}</span>').format(
        name, ord(character)
    )


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "both": both,
    "cell": cell,
    "column": column,
    "heads": heads,
    "literal": literal,
    "moment": moment,
    "number": number,
    "share": share,
    "path": lambda text: quote(str(text), safe=""),
    "visible": visible,
}
