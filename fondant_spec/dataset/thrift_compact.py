"""Structs in Thrift's compact protocol, which Parquet puts before each page.

The format: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from collections.abc import Callable
from typing import Any, Final

_DEEPEST: Final = 16
_STOP: Final = 0
_LONG_LIST: Final = 15
_LONGEST_NUMBER: Final = 70
"""The longest varint, in bits, seven per byte."""

Data = bytes | memoryview


def read_struct(data: Data) -> tuple[dict[int, Any], int]:
    """Parse the struct at the start of `data`; return its fields by number, and its size in bytes.

    Integers and structs are parsed; all other values become None.

    Raises:
        IndexError: the data is truncated.
        ValueError: it is not a struct.
    """
    return _struct(data, 0, 0)


def _struct(data: Data, at: int, depth: int) -> tuple[dict[int, Any], int]:
    fields: dict[int, Any] = {}
    number = 0
    while (head := data[at]) != _STOP:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _number(data, at, depth)
        fields[number], at = _value(data, at, head & 15, depth)
    return fields, at + 1


def _value(data: Data, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if depth > _DEEPEST or kind not in _READERS:
        raise ValueError
    return _READERS[kind](data, at, depth + 1)


def _unsigned(data: Data, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80 or shift >= _LONGEST_NUMBER:  # noqa: PLR2004 - the continuation bit
            return value, at


def _number(data: Data, at: int, _: int) -> tuple[int, int]:
    value, at = _unsigned(data, at)
    return value >> 1 ^ -(value & 1), at


def _bytes(data: Data, at: int, _: int) -> tuple[None, int]:
    size, at = _unsigned(data, at)
    if at + size > len(data):
        raise IndexError
    return None, at + size


def _skipped(size: int) -> Callable[[Data, int, int], tuple[None, int]]:
    return lambda _data, at, _depth: (None, at + size)


def _list(data: Data, at: int, depth: int) -> tuple[None, int]:
    head = data[at]
    count, at = (head >> 4, at + 1) if head >> 4 < _LONG_LIST else _unsigned(data, at + 1)
    for _ in range(count):
        _, at = _value(data, at, head & 15, depth) if head & 15 > 2 else (None, at + 1)  # noqa: PLR2004 - truth values take a byte there
    return None, at


_READERS: Final[dict[int, Callable[[Data, int, int], tuple[Any, int]]]] = {
    1: _skipped(0),  # true
    2: _skipped(0),  # false
    3: _skipped(1),
    4: _number,
    5: _number,
    6: _number,
    7: _skipped(8),
    8: _bytes,
    9: _list,
    10: _list,
    12: _struct,
}
"""By type code; page headers have no maps."""
