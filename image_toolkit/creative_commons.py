"""Recognise Creative Commons licences in texts, but only if the whole text is understood.

A text that begins with `CC BY 4.0` may go on to restrict it: `CC BY 4.0, no commercial use`. So the
whole text is searched for restrictions, and a single unknown word means that there is no licence.
"""

import re
from dataclasses import dataclass, field
from typing import Final

_PAGE: Final = re.compile(
    r"(?:https?:)?(?://)?(?:www\.)?creativecommons\.org/(?:licen[cs]es|publicdomain)"
    r"/([a-z+-]+)/(\d\.\d)"
    r"(?:/(?:[a-z]{2}|igo|scotland)(?![a-z]))?(?:/(?:deed|legalcode)(?:[.-]\w+)*)?/?(?:[?#][^\s()<>\[\]\"',;]*)?"
)
_UNSEEN: Final = re.compile(r"[\u00ad\u200b-\u200f\u2060\ufeff]")
_BETWEEN: Final = re.compile(r"[\s\-‐‑‒–—_/,.;:()\[\]{}+&|\"'“”‘’©®™]+")  # noqa: RUF001 - as found
_TOKEN: Final = re.compile(r"\d+(?:\.\d+)*|[^\W\d_]+")

_HYPHENATED: Final = re.compile(r"(?<!\d)(1[-‐‑_]0|2[-‐‑_][015]|[34][-‐‑_]0)(?!\d)")  # noqa: RUF001
_PHRASES: Final = (
    (r"non ?commercial(?: use| uses| purposes)?(?: only)?", "nc"),
    (r"no ?deriv(?:ative)?s?(?: works?)?", "nd"),
    (r"share ?alike", "sa"),
    (r"attribution", "by"),
    (r"creative ?commons", "cc"),
    (r"(?<=cc )0|zero", "zero"),
    (r"public licen[cs]e", "licence"),
)
_JOINED: Final = re.compile(r"(?:cc)?(?:by)?(?:nc|nd|sa)*")
_VERSIONS: Final = frozenset({"1.0", "2.0", "2.1", "2.5", "3.0", "4.0"})

TAIL: Final = frozenset(
    {
        *("v", "ver", "version", "international", "intl", "generic", "unported", "igo"),
        *("deed", "legalcode", "licence", "license", "licences", "licenses"),
    }
)
"""Words that add nothing to a licence."""

OF_ZERO: Final = frozenset({"universal", "public", "domain", "dedication"})
"""Words that add nothing to CC0, and are unknown for other licences."""

COUNTRIES: Final = frozenset(
    {
        *("argentina", "australia", "austria", "belgium", "brazil", "bulgaria", "canada"),
        *("chile", "china", "mainland", "colombia", "costa", "rica", "croatia", "czech"),
        *("republic", "denmark", "ecuador", "egypt", "england", "wales", "estonia", "finland"),
        *("france", "georgia", "germany", "deutschland", "greece", "guatemala", "hong", "kong"),
        *("hungary", "india", "ireland", "israel", "italy", "italia", "japan", "korea"),
        *("luxembourg", "macedonia", "malaysia", "malta", "mexico", "netherlands", "new"),
        *("zealand", "norway", "peru", "philippines", "poland", "portugal", "puerto", "rico"),
        *("romania", "scotland", "serbia", "singapore", "slovenia", "south", "africa", "spain"),
        *("españa", "sweden", "switzerland", "taiwan", "thailand", "uganda", "united", "kingdom"),
        *("states", "uk", "us", "usa", "venezuela", "vietnam"),
    }
)
"""Words in the names of countries that versions before 4.0 were ported to."""

CODES: Final = frozenset(
    {
        *("ar", "at", "au", "be", "bg", "br", "ca", "ch", "cl", "cn", "co", "cr", "cz", "de"),
        *("dk", "ec", "ee", "eg", "es", "fi", "fr", "ge", "gr", "gt", "hk", "hr", "hu", "ie"),
        *("il", "in", "it", "jp", "kr", "lu", "mk", "mt", "mx", "my", "nl", "nz", "pe", "ph"),
        *("pl", "pr", "pt", "ro", "rs", "se", "sg", "si", "th", "tw", "ug", "ve", "vn", "za"),
    }
)
"""Their codes; that of Norway is also a word that restricts."""


@dataclass
class _Said:
    """The statements of a text, by kind; `versions` are those that it names."""

    parts: set[str] = field(default_factory=set)
    versions: set[str] = field(default_factory=set)
    tail: set[str] = field(default_factory=set)

    def licence(self) -> str | None:
        """Return the licence, if everything belongs to one."""
        versions = {f"{one}.0" if one.isdigit() else one for one in self.versions}
        if len(versions) > 1 or not versions <= _VERSIONS or "cc" not in self.parts:
            return None
        version = "".join(versions)
        kinds = self.parts - {"cc"}
        if kinds == {"zero"}:
            known = self.tail <= TAIL | OF_ZERO and version in ("", "1.0")
            return "cc0-1.0" if known else None
        if kinds == {"mark"}:
            return "public-domain-mark" if not self.tail else None
        if "by" not in kinds or not kinds <= {"by", "nc", "nd", "sa"} or kinds >= {"nd", "sa"}:
            return None
        is_ported = version not in ("", "4.0")
        if not self.tail <= TAIL | COUNTRIES | (CODES if is_ported else set()):
            return None
        ordered = [one for one in ("by", "nc", "nd", "sa") if one in kinds]
        return "-".join(["cc", *ordered, *versions])


def cc_licence(text: str) -> str | None:
    """Return the identifier of the licence that a text names; None in case of any doubt."""
    text = _UNSEEN.sub("", text.casefold())
    said = _Said()
    for kind, version in _PAGE.findall(text):
        said.parts |= {"cc", *kind.split("-")}
        said.versions.add(version)
    text = _HYPHENATED.sub(lambda one: f"{one[0][0]}.{one[0][-1]}", _PAGE.sub(" ", text))
    words = _words(text)
    if words is None:
        return None
    for word in words:
        if word[0].isdigit():
            said.versions.add(word)
        elif word == "zero":
            said.parts.add(word)
        elif _JOINED.fullmatch(word):
            said.parts |= {"cc"} if word.startswith("cc") else set()
            said.parts |= {*re.findall("by|nc|nd|sa", word)}
        else:
            said.tail.add(word)
    return said.licence()


def _words(text: str) -> list[str] | None:
    """Return the words of a text, with licence terms abbreviated; None if it has other signs."""
    if _TOKEN.sub("", _BETWEEN.sub("", text)):
        return None
    spaced = " ".join(_TOKEN.findall(text))
    for phrase, short in _PHRASES:
        spaced = re.sub(rf"(?<!\S)(?:{phrase})(?!\S)", short, spaced)
    return spaced.split()
