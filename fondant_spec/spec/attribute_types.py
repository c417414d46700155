"""Checking the attributes of a dataclass against their declared types."""

import re
from dataclasses import fields
from types import UnionType
from typing import Any, get_args, get_origin


def wrong_attribute(record: Any) -> str | None:
    """Return the first attribute of a wrong type, as the end of a sentence; or None.

    An int is accepted as a float; True and False only as a bool.
    """
    for attribute in fields(record):
        value = getattr(record, attribute.name)
        if not _fits(value, attribute.type):
            kind: Any = attribute.type
            spelled = re.sub(r"(\w+\.)+", "", str(kind) if get_args(kind) else kind.__name__)
            return f"{attribute.name} must be of type {spelled}, not {value!r}"
    return None


def _fits(value: Any, wanted: Any) -> bool:
    origin, inner = get_origin(wanted), get_args(wanted)
    if wanted is Any:
        return True
    if origin is UnionType:
        return any(_fits(value, one) for one in inner)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(item, inner[0]) for item in value)
    if origin is not None:
        pairs = value.items() if isinstance(value, origin) else [(None, None)]
        return all(_fits(key, inner[0]) and _fits(item, inner[1]) for key, item in pairs)
    if isinstance(value, bool):
        return wanted is bool
    return isinstance(value, int | float if wanted is float else wanted)
