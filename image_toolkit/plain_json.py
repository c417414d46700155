"""Dataclasses as JSON for people and programs."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any


def as_json(value: Any, digits: int | None = None) -> str:
    """Return a value as JSON: attributes by name; pairs as keys in the form `512x768`.

    NaN and infinities become null. With `digits`, floats are rounded to so many significant digits.
    """
    plain = _plain(value, digits)
    return json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any, digits: int | None) -> Any:
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name), digits) for one in fields(value)}
    if isinstance(value, Mapping):
        return {_key(key): _plain(one, digits) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one, digits) for one in value]
    if isinstance(value, float):
        if value - value != 0:
            return None
        return value if digits is None else float(f"{value:.{digits}g}")
    return value if isinstance(value, str | int | None) else str(value)


def _key(key: Any) -> str:
    return "x".join(map(str, key)) if isinstance(key, tuple) else str(key)
