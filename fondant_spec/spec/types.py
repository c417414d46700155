"""Field types: the JSON form used in specs and manifests, to and from Arrow.

The names are those of Fondant 0.12 (`int32`, `utf8`, `binary`, `array` with `items`, `object` with
`properties`, `string` with `format: date-time`). One key is added: `size` on an array, for vectors
of a fixed length.
"""

from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa

from fondant_spec.errors import InvalidTypeError, did_you_mean

_SCALARS: Final[dict[str, pa.DataType]] = {
    "null": pa.null(),
    "bool": pa.bool_(),
    "int8": pa.int8(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "uint8": pa.uint8(),
    "uint16": pa.uint16(),
    "uint32": pa.uint32(),
    "uint64": pa.uint64(),
    "float16": pa.float16(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "decimal128": pa.decimal128(38),
    "time32": pa.time32("s"),
    "time64": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "date32": pa.date32(),
    "date64": pa.date64(),
    "duration": pa.duration("us"),
    "string": pa.string(),
    "binary": pa.binary(),
    "large_utf8": pa.large_string(),
    "large_binary": pa.large_binary(),
}

_ALIASES: Final[dict[str, str]] = {
    "utf8": "string",
    "large_string": "large_utf8",
    "decimal": "decimal128",
}

_NESTED: Final = ("array", "object", "list", "struct")
_KEYS: Final = {"type", "format", "items", "properties", "size"}


def type_from_json(value: Mapping[str, Any], where: str = "field") -> pa.DataType:
    """Return the Arrow type that a spec or a manifest spells as `value`.

    Keys that do not belong to a type (`location`, `description`, ...) are left to the caller and
    ignored here. `where` names the field in error messages.

    Raises:
        InvalidTypeError: the name is unknown, or a nested type lacks its items or properties.
    """
    name = value.get("type") if isinstance(value, Mapping) else None
    if not isinstance(name, str):
        msg = f"{where}: needs a `type`, such as `type: string`."
        raise InvalidTypeError(msg)
    if name in ("array", "list"):
        return _array_from_json(value, where)
    if name in ("object", "struct"):
        return _object_from_json(value, where)
    if name == "string" and value.get("format") == "date-time":
        return pa.timestamp("us", tz="UTC")
    name = _ALIASES.get(name, name)
    if name not in _SCALARS:
        known = [*_SCALARS, *_ALIASES, *_NESTED]
        msg = (
            f"{where}: unknown type {name!r}{did_you_mean(name, known)} Known: {', '.join(known)}."
        )
        raise InvalidTypeError(msg)
    return _SCALARS[name]


def type_to_json(data_type: pa.DataType) -> dict[str, Any]:
    """Return the JSON form of an Arrow type: the inverse of `type_from_json`.

    A large list becomes a list, and a timestamp with a time zone as one in UTC.

    Raises:
        InvalidTypeError: the type has no name in the specification (a map, a union, ...).
    """
    if pa.types.is_fixed_size_list(data_type):
        items = type_to_json(data_type.value_type)
        return {"type": "array", "items": items, "size": data_type.list_size}
    if pa.types.is_list(data_type) or pa.types.is_large_list(data_type):
        return {"type": "array", "items": type_to_json(data_type.value_type)}
    if pa.types.is_struct(data_type):
        return {"type": "object", "properties": {f.name: type_to_json(f.type) for f in data_type}}
    if pa.types.is_timestamp(data_type) and data_type.tz is not None:
        return {"type": "string", "format": "date-time"}
    for name, scalar in _SCALARS.items():
        if data_type.equals(scalar):
            return {"type": name}
    msg = f"Arrow type {data_type} has no name in a component spec; cast the column to another one."
    raise InvalidTypeError(msg)


def json_types(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping of field to type or new name as JSON, with Arrow types by their names."""
    return {
        name: value if isinstance(value, str | Mapping) else type_to_json(value)
        for name, value in fields.items()
    }


def reject_unknown_keys(value: Mapping[str, Any], known: set[str], where: str) -> None:
    """Raise an error for keys outside `known`, with a hint at the closest one.

    Raises:
        InvalidTypeError: for the first unknown key.
    """
    for key in value:
        if key not in known:
            hint = did_you_mean(str(key), sorted(known))
            msg = f"{where}: unknown key {key!r}{hint} Known: {', '.join(sorted(known))}."
            raise InvalidTypeError(msg)


def check_field_keys(value: Mapping[str, Any], where: str, extra: frozenset[str]) -> None:
    """Reject unknown keys in a field of a spec, at every depth; `extra` is allowed at the top."""
    reject_unknown_keys(value, _KEYS | extra, where)
    items = value.get("items")
    if isinstance(items, Mapping):
        check_field_keys(items, f"{where}.items", frozenset())
    properties = value.get("properties")
    if isinstance(properties, Mapping):
        for name, child in properties.items():
            if isinstance(child, Mapping):
                check_field_keys(child, f"{where}.{name}", frozenset())


def _array_from_json(value: Mapping[str, Any], where: str) -> pa.DataType:
    items = value.get("items")
    if isinstance(items, str):
        items = {"type": items}
    if not isinstance(items, Mapping):
        msg = f"{where}: an array needs `items`, such as `items: {{type: float32}}`."
        raise InvalidTypeError(msg)
    item = type_from_json(items, f"{where}.items")
    size = value.get("size")
    if size is None:
        return pa.list_(item)
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        msg = f"{where}: `size` must be a positive whole number, not {size!r}."
        raise InvalidTypeError(msg)
    return pa.list_(item, size)


def _object_from_json(value: Mapping[str, Any], where: str) -> pa.DataType:
    properties = value.get("properties")
    if not isinstance(properties, Mapping) or not all(isinstance(n, str) for n in properties):
        msg = f"{where}: an object needs `properties`, a mapping of name to type."
        raise InvalidTypeError(msg)
    return pa.struct(
        [(name, type_from_json(child, f"{where}.{name}")) for name, child in properties.items()],
    )
