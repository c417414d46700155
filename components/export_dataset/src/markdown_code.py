"""Words of others in Markdown: as code, which nothing in them ends."""

import re

from fondant_spec.shown_text import shown


def code(text: str) -> str:
    """Return text as code on a line: between more backticks than it has in a row itself."""
    ticks = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if "`" in text else ""
    return f"{ticks}{space}{shown(' '.join(text.splitlines()))}{space}{ticks}"
