"""Texts that name fields of a row in braces: `a photo of {class}`."""

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from fondant_spec.errors import InvalidArgumentError

_PLACE: Final = re.compile(r"\{(\w+)\}")


def places_in(text: str | None) -> set[str]:
    """Return the names of the fields in braces in a text."""
    return {*_PLACE.findall(text or "")}


def check_places(text: str | None, what: str, known: Collection[str]) -> None:
    """Check that the fields named in a text exist.

    Raises:
        InvalidArgumentError: one does not.
    """
    for name in sorted(places_in(text) - {*known}):
        there = ", ".join(sorted(known)) or "none"
        msg = (
            f"{what}: {{{name}}} names no field that the step reads ({there}). Add it to consumes "
            f"of this step: {{{name!r}: <the name of the field>}}."
        )
        raise InvalidArgumentError(msg)


def filled(text: str, row: Mapping[str, Any]) -> str:
    """Fill the fields of a row into a text; nulls become empty."""
    return _PLACE.sub(lambda place: _said(row.get(place[1])), text)


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_said, value))
    return "" if value is None else " ".join(str(value).split())
