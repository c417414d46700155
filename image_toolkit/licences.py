"""Licences under their many names: one short identifier for each, and what to do with it.

Sources write `CC BY 2.0`, `cc-by-2.0`, `https://creativecommons.org/licenses/by/2.0/` or
`https://spdx.org/licenses/CC-BY-2.0.html`. The identifier is the hub's, if it has one
(https://huggingface.co/docs/hub/repositories-licenses).
"""

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from image_toolkit.blank_texts import is_blank
from image_toolkit.creative_commons import cc_licence
from image_toolkit.licence_links import linked_licence, without_links
from image_toolkit.spdx import hub_id, spdx_page, with_cc_pages, without_spdx

UNKNOWN: Final = "unknown"

_NOT_SAID: Final = frozenset({"?", "-", "unknown", "none", "null", "nan", "n-a", "not-specified"})
_LIKE_CC: Final = re.compile(r"(?:cc-?(?:0|zero)|cc-by(?:-(?:nc|nd|sa))*)[-.+\d]*")
_VERSION: Final = re.compile(r"-\d+(?:\.\d+)*$")
_LONGEST: Final = 60
_ON_HUB: Final = frozenset(
    {
        *("apache-2.0", "mit", "odc-by", "odbl", "pddl", UNKNOWN, "cc0-1.0"),
        *("cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0"),
        *("cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nd-4.0"),
        *("cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0"),
        *("cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0"),
        *("cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"),
        *("cdla-sharing-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0"),
    }
)


def licence_id(text: str | None) -> str:
    """Return the identifier of a licence: lower-case letters, digits, `.` and `-`; or `unknown`.

    A text that is not fully understood gets its own identifier, different from any known licence.
    One with a link to another licence than the one it names is unknown.
    """
    if is_blank(text):
        return UNKNOWN
    words, links = without_links(str(text))
    words, links = without_spdx(words), with_cc_pages(links)
    try:
        named = linked_licence(words, links) if links else cc_licence(words)
    except ValueError:
        return UNKNOWN
    return named or hub_id(_own_id(words))


def _own_id(text: str) -> str:
    """Return an identifier for a text that does not name a Creative Commons licence."""
    words = re.sub(r"[^\w.+-]+|_+", "-", text.casefold()).strip("-.")
    words = re.sub(r"-licen[cs]e\b", "", words)[:_LONGEST]
    if words in _NOT_SAID or not words:
        return UNKNOWN
    return f"unclear-{words}" if _LIKE_CC.fullmatch(words) else words


def is_one_of(licence: str, wanted: Collection[str]) -> bool:
    """Return whether an identifier is among those wanted; one without a version means all."""
    return licence in wanted or _VERSION.sub("", licence) in wanted


def on_the_hub(licences: Collection[str]) -> dict[str, Any]:
    """Return the licence entries for the front matter of a dataset card."""
    if len(licences) == 1 and (only := next(iter(licences))) in _ON_HUB:
        return {"license": only}
    return {"license": "other", "license_name": "various", "license_link": "credits.csv"}


def pages(licences: Mapping[str, int]) -> list[str]:
    """Return the SPDX pages of the licences that have one."""
    return [spdx_page(name) for name in sorted(licences) if name in _ON_HUB and name != UNKNOWN]
