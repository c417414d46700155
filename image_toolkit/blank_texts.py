"""Texts without visible characters, which are not captions."""

import unicodedata
from collections.abc import Iterable
from typing import Final

_CATEGORIES: Final = frozenset({"Cc", "Cf", "Zl", "Zp", "Zs"})
"""Controls, format characters (zero-width spaces and joiners, byte order mark), white space."""

_INVISIBLE: Final = frozenset(
    (
        *"\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0",  # fillers, in several categories
        *map(chr, (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))),
    )
)
"""Invisible in spite of their category: fillers and variation selectors."""


def is_blank(text: str | None) -> bool:
    """Return whether a text is None, or has no visible character."""
    return all(c in _INVISIBLE or unicodedata.category(c) in _CATEGORIES for c in text or "")


def shown_once(texts: Iterable[str | None]) -> tuple[str, ...]:
    """Return the texts that are not blank, without repeats, in order."""
    return tuple(dict.fromkeys(text for text in texts if text is not None and not is_blank(text)))
