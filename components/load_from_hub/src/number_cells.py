"""Converting cells to declared number types: exactly, or with an error.

A text is a number only in the syntax of JSON and CSV; other forms that Python accepts (`1_000`, the
digits of other scripts) are not.
"""

import math
import re
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pyarrow as pa

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,6})?")
_NOT_FINITE: Final = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_TRUTHS: Final = {"true": True, "1": True, "false": False, "0": False}
_MOST_DIGITS: Final = 40
"""More than any integer type holds."""


def truth(cell: Any) -> bool:
    """Parse a boolean: true, false, 1 or 0.

    Raises:
        ValueError: it is none of these.
    """
    found = _TRUTHS.get(str(cell).strip().lower())
    if found is None:
        raise ValueError
    return found


def whole(cell: str | float | Decimal) -> int:
    """Return a cell as an integer.

    Raises:
        ValueError: it is not one.
        OverflowError: it has more digits than any integer type holds.
    """
    if isinstance(cell, int):
        return int(cell)
    number = Decimal(_digits(cell) if isinstance(cell, str) else cell)
    if not number.is_finite():
        raise ValueError
    if number and number.adjusted() > _MOST_DIGITS:
        raise OverflowError
    if number != number.to_integral_value():
        raise ValueError
    return int(number)


def floating(cell: str | float | Decimal, declared: pa.DataType) -> float:
    """Return a cell as the nearest floating-point number of a type.

    Raises:
        ValueError: it is not a number.
        OverflowError: it is too large for the type.
    """
    if isinstance(cell, int):
        return cell  # Arrow rejects those that the type cannot represent
    if isinstance(cell, str):
        infinite = _NOT_FINITE.fullmatch(cell.strip()) is not None
        number = float(cell if infinite else _digits(cell))
    else:
        infinite = not math.isfinite(cell)
        number = float(cell)
    if not infinite and abs(number) > float(np.finfo(declared.to_pandas_dtype()).max):
        raise OverflowError
    return number


def _digits(text: str) -> str:
    stripped = text.strip()
    if not _NUMBER.fullmatch(stripped):
        raise ValueError
    return stripped
