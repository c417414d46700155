"""Holds the attributes of a record against the types that they are declared with."""

import re
from dataclasses import fields
from types import UnionType
from typing import Any, get_args, get_origin

from fondant_spec.errors import InvalidPipelineError


def check_types(record: Any, where: str) -> None:
    """Refuse values that are not of the type that their attribute is declared with.

    Raises:
        InvalidPipelineError: naming the attribute, and the type that it must be of.
    """
    for attribute in fields(record):
        value = getattr(record, attribute.name)
        if not _fits(value, attribute.type):
            kind: Any = attribute.type
            spelled = re.sub(r"(\w+\.)+", "", str(kind) if get_args(kind) else kind.__name__)
            msg = f"{where}: {attribute.name} must be of type {spelled}, not {value!r}."
            raise InvalidPipelineError(msg)


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
