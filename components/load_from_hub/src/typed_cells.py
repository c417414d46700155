"""Converting cells of a source to the declared types.

A text declared as `string` stays as spelled in the file; a number is parsed only if a number is
declared. A cell that cannot be converted is a fault of its row only.
"""

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
from loaded_rows import Cells
from number_cells import floating, truth, whole
from text_types import is_text

from image_toolkit.text_encodings import decoded

MOST_VALUES: Final = 8_000_000
"""The most values in one JSON text: each takes at least two bytes in a file, and sixty here."""

_LONGEST_SHOWN: Final = 60


class Number(str):
    """A number as a text file spells it."""

    __slots__ = ()


_JSON: Final = json.JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=Number)


def parsed_json(content: str | bytes, most_values: int = MOST_VALUES) -> Any:
    """Parse a JSON text, keeping numbers as they are spelled.

    Raises:
        ValueError: it is not JSON, or holds too many values.
    """
    commas = content.count(",") if isinstance(content, str) else content.count(b",")
    if commas > most_values:
        msg = f"it holds over {most_values} values"
        raise ValueError(msg)
    try:
        return _JSON.decode(content if isinstance(content, str) else decoded(content))
    except RecursionError:
        msg = "it is nested too deep"
        raise ValueError(msg) from None


def typed(cells: Cells, declared: pa.DataType) -> tuple[pa.Array, dict[int, str]]:
    """Convert cells to an array of the declared type; return it with the problems of null cells."""
    if isinstance(cells, pa.Array):
        cells = plain_array(cells)
        if pa.types.is_temporal(cells.type):
            return _times(cells, declared)
        try:
            if _keeps_values(cells.type, declared):
                return _checked(cells.cast(declared), cells), {}
        except (pa.ArrowException, ValueError):
            pass  # some cells are faulty; they are found below
        cells = cells.to_pylist()
    try:
        if pa.types.is_string(declared) and all(type(cell) in _PLAIN for cell in cells):
            return pa.array(cells, declared), {}
        return pa.array([_value(cell, declared) for cell in cells], declared), {}
    except (pa.ArrowException, ValueError, TypeError, ArithmeticError):
        return _one_by_one(cells, declared)


def plain_array(array: pa.Array) -> pa.Array:
    """Return an array without extension type or dictionary."""
    if isinstance(array.type, pa.ExtensionType):
        array = array.storage
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def named_classes(array: pa.Array, names: Sequence[str]) -> tuple[list[str | None], dict[int, str]]:
    """Return the class names for class numbers, and by row the problems of invalid ones.

    -1 means no class.
    """
    numbers = array.to_pylist()
    found = [names[n] if n is not None and 0 <= n < len(names) else None for n in numbers]
    wrong = {
        row: f"{number} is none of its {len(names)} classes"
        for row, number in enumerate(numbers)
        if number is not None and not -1 <= number < len(names)
    }
    return found, wrong


def _keeps_values(source: pa.DataType, declared: pa.DataType) -> bool:
    """Return whether Arrow's cast preserves values, or fails.

    It casts any number to a boolean and large numbers to infinity, and parses numbers in texts with
    the syntax of programs.
    """
    if source == declared:
        return True
    if is_text(source):
        return is_text(declared)
    if pa.types.is_floating(declared):
        exact = pa.types.is_integer(source) and declared.bit_width > _HALF
        narrow = pa.types.is_floating(source) and source.bit_width <= declared.bit_width
        return bool(exact or narrow)
    of_other_kind = (pa.types.is_boolean, pa.types.is_nested, pa.types.is_temporal)
    return not any(is_kind(declared) for is_kind in of_other_kind)


def _times(cells: pa.Array, declared: pa.DataType) -> tuple[pa.Array, dict[int, str]]:
    """Convert times from texts or other types, and report those that would lose precision.

    Never through Python's types, which have no nanoseconds, and end with the year 9999.
    """
    nothing = pa.nulls(len(cells), declared)
    if not (is_text(declared) or pa.types.is_temporal(declared)):
        return nothing, {row: _shown(one) + _lack(declared) for row, one in _given(cells)}
    try:
        return cells.cast(declared), {}
    except pa.ArrowException:
        pass  # some cells are faulty; they are found below
    values, problems = [nothing.slice(row, 1) for row in range(len(cells))], {}
    for row, one in _given(cells):
        try:
            values[row] = one.cast(declared)
        except pa.ArrowException:
            problems[row] = _shown(one) + _lack(declared)
    return pa.concat_arrays(values), problems


def _given(cells: pa.Array) -> Iterator[tuple[int, pa.Array]]:
    """Yield the cells that are not null, with their rows, as arrays of one."""
    return ((row, cells.slice(row, 1)) for row in range(len(cells)) if cells[row].is_valid)


def _shown(one: pa.Array) -> str:
    try:
        return f"{one.cast(pa.string())[0].as_py()!r} "
    except pa.ArrowException:  # an interval has no text
        return f"{str(one[0].as_py())!r} "


def _checked(cast: pa.Array, source: pa.Array) -> pa.Array:
    """Check that texts cast from bytes are valid."""
    if pa.types.is_string(cast.type) and not pa.types.is_string(source.type):
        cast.validate(full=True)
    return cast


def _one_by_one(cells: Sequence[Any], declared: pa.DataType) -> tuple[pa.Array, dict[int, str]]:
    values: list[Any] = []
    problems: dict[int, str] = {}
    for row, cell in enumerate(cells):
        try:
            value = pa.array([_value(cell, declared)], declared)[0].as_py()
        except (pa.ArrowException, ValueError, TypeError, ArithmeticError) as error:
            shown = f"{str(cell)[:_LONGEST_SHOWN]!r}"
            problems[row] = f"{shown} {_lack(declared, error)}"
            value = None
        values.append(value)
    return pa.array(values, declared), problems


def _lack(declared: pa.DataType, error: Exception | None = None) -> str:
    """Describe why a cell does not fit the declared type, to be appended to the cell."""
    if isinstance(error, UnicodeError):
        return "is no valid UTF-8"
    if isinstance(error, OverflowError | pa.ArrowInvalid) and _is_number(declared):
        return f"is out of the range of {declared}"
    if pa.types.is_integer(declared):
        return "is no whole number"
    if pa.types.is_floating(declared):
        return "is no number"
    if pa.types.is_boolean(declared):
        return "is none of true, false, 1 and 0"
    return f"cannot be read as {declared}"


def _is_number(declared: pa.DataType) -> bool:
    return bool(pa.types.is_integer(declared) or pa.types.is_floating(declared))


def _value(cell: Any, declared: pa.DataType) -> Any:
    """Convert one cell to a Python value of the declared type."""
    if cell is None:
        return None
    if is_text(declared):
        return _text(cell)
    if pa.types.is_nested(declared):
        return _nested(parsed_json(cell) if isinstance(cell, str) else cell, declared)
    if pa.types.is_boolean(declared):
        return truth(cell)
    return _single(cell, declared)


def _nested(cell: Any, declared: pa.DataType) -> Any:
    """Convert a struct or a list; leave cells of other types to Arrow."""
    if pa.types.is_struct(declared):
        return {part.name: _value(dict(cell).get(part.name), part.type) for part in declared}
    if not any(is_list(declared) for is_list in _LISTS):
        return cell
    if isinstance(cell, str | bytes | dict):
        raise TypeError
    return [_value(item, declared.value_type) for item in cell]


def _single(cell: Any, declared: pa.DataType) -> Any:
    """Convert a number, a time, or bytes."""
    if isinstance(cell, bool):
        raise TypeError
    if isinstance(cell, str | int | float | Decimal) and _is_number(declared):
        return whole(cell) if pa.types.is_integer(declared) else floating(cell, declared)
    if isinstance(cell, str):
        return _parsed(cell, declared)
    if pa.types.is_temporal(declared):
        if not isinstance(cell, dt.date | dt.time | dt.timedelta):
            raise TypeError  # a number without unit or epoch
        return pa.scalar(cell).cast(declared).as_py()  # Python's objects would be cut to the unit
    return cell


_PLAIN: Final = (str, type(None))
_HALF: Final = 16
_LISTS: Final = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)


def _text(cell: Any) -> str:
    if isinstance(cell, bytes):
        return cell.decode()
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, str):
        str(cell).encode()
        return str(cell)
    if isinstance(cell, int | float | Decimal | dt.date | dt.time | dt.timedelta):
        return str(cell)
    raise TypeError


def _parsed(text: str, declared: pa.DataType) -> Any:
    """Parse a text for a declared type other than text."""
    if pa.types.is_null(declared):
        raise TypeError
    if pa.types.is_binary(declared) or pa.types.is_large_binary(declared):
        return text.encode()
    return pa.scalar(str(text)).cast(declared).as_py()
