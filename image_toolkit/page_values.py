"""Format values for a page: texts without hidden characters, numbers, shares."""

import re
import unicodedata
from typing import Any, Final

from markupsafe import Markup

_HIDDEN: Final = re.compile(
    "[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)
"""Invisible characters, some of which reverse text. U+200D, which joins emoji, is kept."""

_JOINER: Final = "\u200d"
_SHORTEST: Final = 0.001


def visible(value: Any) -> Markup:
    """Return a text with a visible mark for each invisible character."""
    parts: list[str | Markup] = []
    end = 0
    text = str(value)
    for match in _HIDDEN.finditer(text):
        if match[0] == _JOINER:
            continue
        parts += [text[end : match.start()], _mark(match[0])]
        end = match.end()
    return Markup("").join([*parts, text[end:]])


def number(value: float | None) -> str:
    """Return a number with its significant digits."""
    if value is None:
        return "none"
    if isinstance(value, int):
        return f"{value:,}"
    if value == int(value) if abs(value) < 1e15 else False:  # noqa: PLR2004
        return f"{value:,.0f}"
    return f"{value:,.4g}" if abs(value) >= _SHORTEST else f"{value:.2e}"


def share(part: float, whole: float) -> str:
    """Return a share in percent, never rounded to 0 or 100."""
    percent = 100 * part / whole if whole else 0.0
    if 0 < percent < 1:
        return "< 1 %"
    return "> 99 %" if 99 < percent < 100 else f"{percent:.0f} %"  # noqa: PLR2004


def _mark(character: str) -> Markup:
    name = unicodedata.name(character, f"U+{ord(character):04X}").title()
    return Markup('<span class="hidden-character" title="{}">U+{:04X}</span>').format(
        name, ord(character)
    )
