"""Untrusted text in Markdown: as inline code that it cannot break out of."""

import re

from fondant_spec.shown_text import shown


def code(text: str) -> str:
    """Return text as inline code, delimited by more backticks than any run in it."""
    ticks = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if "`" in text else ""
    return f"{ticks}{space}{shown(' '.join(text.splitlines()))}{space}{ticks}"
