"""Licences given as HTML links: `<a href="...">CC BY 4.0</a>`.

The target of a link counts as much as its text, and if the two disagree, neither is believed.
"""

import re
from html import unescape
from typing import Final
from urllib.parse import unquote

from image_toolkit.creative_commons import cc_licence

_VALUE: Final = r"""(?:"[^"<>]*"|'[^'<>]*'|[^\s"'<>]+)"""
_OTHERS: Final = rf"(?:\s+(?:rel|target)\s*=\s*{_VALUE})*"
_LINK: Final = re.compile(
    rf"<a{_OTHERS}\s+href\s*=\s*({_VALUE}){_OTHERS}\s*>([^<>]*)</a\s*>", re.IGNORECASE
)
"""A link with plain text; the content of other attributes, such as `title`, would be lost."""

_OF_CC: Final = re.compile(
    r"creativecommons\.org/(?:licen[cs]es|publicdomain)"
    r"|(?<![a-z])(?:cc)?(?:by)?(?:sa)?n[cd](?:sa|nd)?(?![a-z])"
    r"|non[-_ ]?commercial|no[-_ ]?deriv"
)
"""Links to a Creative Commons licence, or to something that may restrict one."""

_OF_ANY: Final = re.compile(r"/licen[cs]es/\w")
_VERSION: Final = re.compile(r"-\d\.\d$")


def without_links(text: str) -> tuple[str, str]:
    """Return a text without its links' markup, and the targets of the links."""
    links = [unquote(unescape(link[1].strip("\"'"))).strip() for link in _LINK.finditer(text)]
    return _LINK.sub(r"\2", text), " ".join(links)


def linked_licence(words: str, links: str) -> str | None:
    """Return the Creative Commons licence that words and links name; None if they name none.

    Raises:
        ValueError: the links name another licence than the words.
    """
    named = cc_licence(words)
    if not _OF_CC.search(links.casefold()):
        agree = named is None or not _OF_ANY.search(links.casefold())
    else:
        linked, named = cc_licence(links), cc_licence(f"{words} {links}")
        without_version = _VERSION.sub("", linked or "")
        said = cc_licence(f"CC {words}")
        agree = linked is not None and linked == named and said in (None, linked, without_version)
    if not agree:
        msg = f"{words!r} is not what {links} says"
        raise ValueError(msg)
    return named
