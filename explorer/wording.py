"""How values are formatted on a page."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from markupsafe import Markup, escape

from image_toolkit.edits.cells import Cell
from image_toolkit.page_values import number, share, visible

_LONGEST: Final = 400


def cell(value: Any) -> Markup:
    """Return any value of a row as a short text."""
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


def literal(value: Any) -> str:
    """Return a value as a literal of an expression."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    escaped = str(value).replace("'", "''")
    return f"'{escaped}'"


def column(name: str) -> str:
    """Return a column's name as written in an expression, quoted if necessary."""
    escaped = name.replace('"', '""')
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else f'"{escaped}"'


def both(one: str, other: str) -> str:
    """Return the conjunction of two expressions."""
    return f"({one}) AND {other}" if one else other


def heads(cells: Mapping[str, Cell]) -> str:
    """Return the ids of an image's current edits, by field, as JSON."""
    return json.dumps({field: one.ids for field, one in cells.items()})


def moment(text: str) -> str:
    """Return the time of an edit or a run, to the minute, in UTC."""
    try:
        return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M}"
    except ValueError:
        return text


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
