"""SPDX's names of licences, and its pages of them: https://spdx.org/licenses/CC-BY-4.0.html."""

import re
from typing import Final

_PAGE: Final = re.compile(
    r"(?:https?:)?(?://)?(?:www\.)?spdx\.org/licenses/([a-z\d][\w.+-]*?)"
    r"(?:\.html|\.json|\.txt)?/?(?:[?#][^\s()<>\[\]\"',;]*)?(?=[\s()<>\[\]\"',;]|$)",
    re.IGNORECASE,
)
_TAG: Final = re.compile(r"^\s*SPDX-Licen[cs]e-Identifier\s*:\s*", re.IGNORECASE)
_CC: Final = re.compile(r"CC-(BY(?:-NC|-ND|-SA)*)-(\d\.\d)(?:-([A-Z]{2}|IGO))?", re.IGNORECASE)
_CC_HOME: Final = "https://creativecommons.org"
_PUBLIC_DOMAIN: Final = {
    "cc0-1.0": f"{_CC_HOME}/publicdomain/zero/1.0/",
    "cc-pdm-1.0": f"{_CC_HOME}/publicdomain/mark/1.0/",
}
_NAMES: Final = {
    "apache-2.0": "Apache-2.0",
    "cdla-permissive-1.0": "CDLA-Permissive-1.0",
    "cdla-permissive-2.0": "CDLA-Permissive-2.0",
    "cdla-sharing-1.0": "CDLA-Sharing-1.0",
    "mit": "MIT",
    "odbl": "ODbL-1.0",
    "odc-by": "ODC-By-1.0",
    "pddl": "PDDL-1.0",
}
"""What SPDX calls licences whose identifier on the hub is not the same in lower case letters."""

_IDS: Final = {name.casefold(): licence for licence, name in _NAMES.items()}


def without_spdx(text: str) -> str:
    """Return a text with SPDX's pages of licences as others write them.

    Those of Creative Commons become the pages that these licences have there, with all that
    restricts them; of another page the name alone is left.
    """
    text = _PAGE.sub(lambda page: _cc_page(page[1]) or page[1], _TAG.sub("", text))
    return _PUBLIC_DOMAIN.get(text.strip().casefold(), text)


def hub_id(licence: str) -> str:
    """Return the hub's identifier of a licence, given SPDX's name in lower case letters."""
    return _IDS.get(licence, licence)


def with_cc_pages(text: str) -> str:
    """Return a text with SPDX's pages of Creative Commons' licences as the pages of these."""
    return _PAGE.sub(lambda page: _cc_page(page[1]) or page[0], text)


def spdx_page(licence: str) -> str:
    """Return SPDX's page of a licence, given the identifier that the hub has for it."""
    return f"https://spdx.org/licenses/{_NAMES.get(licence, licence.upper())}.html"


def _cc_page(name: str) -> str | None:
    """Return the page of a licence of Creative Commons; None for another's."""
    if match := _CC.fullmatch(name):
        kind, version, port = match.groups()
        where = f"{kind}/{version}/{port}/" if port else f"{kind}/{version}/"
        return f"{_CC_HOME}/licenses/{where}".casefold()
    return _PUBLIC_DOMAIN.get(name.casefold())
