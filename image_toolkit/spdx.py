"""SPDX licence names, and SPDX licence pages such as https://spdx.org/licenses/CC-BY-4.0.html."""

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
"""SPDX names that differ from the hub's identifier in more than case."""

_IDS: Final = {name.casefold(): licence for licence, name in _NAMES.items()}


def without_spdx(text: str) -> str:
    """Replace SPDX licence pages in a text by their usual form.

    Pages of Creative Commons licences become Creative Commons' own pages, with all restrictions;
    other pages become the licence's name.
    """
    text = _PAGE.sub(lambda page: _cc_page(page[1]) or page[1], _TAG.sub("", text))
    return _PUBLIC_DOMAIN.get(text.strip().casefold(), text)


def hub_id(licence: str) -> str:
    """Return the hub's identifier for a licence, given its SPDX name in lower case."""
    return _IDS.get(licence, licence)


def with_cc_pages(text: str) -> str:
    """Replace SPDX pages of Creative Commons licences in a text by Creative Commons' own."""
    return _PAGE.sub(lambda page: _cc_page(page[1]) or page[0], text)


def spdx_page(licence: str) -> str:
    """Return the SPDX page of a licence, given its identifier on the hub."""
    return f"https://spdx.org/licenses/{_NAMES.get(licence, licence.upper())}.html"


def _cc_page(name: str) -> str | None:
    """Return the page of a Creative Commons licence; None for other licences."""
    if match := _CC.fullmatch(name):
        kind, version, port = match.groups()
        where = f"{kind}/{version}/{port}/" if port else f"{kind}/{version}/"
        return f"{_CC_HOME}/licenses/{where}".casefold()
    return _PUBLIC_DOMAIN.get(name.casefold())
