"""Bounds of a value besides its type: a range for numbers, or a pattern for texts."""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from fondant_spec.errors import InvalidArgumentError, InvalidComponentSpecError

_NUMBER_KEYS: Final = ("minimum", "maximum", "exclusive_minimum", "exclusive_maximum")
_LISTS: Final = ("list", "tuple", "set")

BOUND_KEYS: Final = (*_NUMBER_KEYS, "pattern")
"""The keys of an argument in a spec that declare its bounds."""


@dataclass(frozen=True)
class Bounds:
    """The range of a number, or the regular expression that must match a whole text.

    For a list, they apply to each item. None means unbounded.
    """

    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: float | None = None
    exclusive_maximum: float | None = None
    pattern: str | None = None

    def describe(self, quote: str = "") -> str:
        """Describe the bounds, such as `from 1 to 100`; empty without any.

        A pattern is enclosed in `quote`.
        """
        if self.pattern is not None:
            return f"a text of the form {quote}{self.pattern}{quote}"
        if self.minimum is not None and self.maximum is not None:
            return f"from {self.minimum} to {self.maximum}"
        parts = {
            "at least": self.minimum,
            "above": self.exclusive_minimum,
            "at most": self.maximum,
            "below": self.exclusive_maximum,
        }
        return " and ".join(
            f"{word} {number}" for word, number in parts.items() if number is not None
        )

    def check(self, name: str, value: Any) -> None:
        """Check the value of the argument `name` against the bounds.

        Raises:
            InvalidArgumentError: it is out of bounds; names the value, or the first such item.
        """
        wanted = self.describe()
        if not wanted:
            return
        for item in value if isinstance(value, list) else [value]:
            if not self._allows(item):
                subject = "every item of " if isinstance(value, list) else ""
                msg = f"{subject}argument {name!r} must be {wanted}, not {item!r}."
                raise InvalidArgumentError(msg)

    def _allows(self, value: Any) -> bool:
        if self.pattern is not None:
            return isinstance(value, str) and _matches(self.pattern, value)
        if type(value) not in (int, float):
            return False
        return (
            (self.minimum is None or value >= self.minimum)
            and (self.maximum is None or value <= self.maximum)
            and (self.exclusive_minimum is None or value > self.exclusive_minimum)
            and (self.exclusive_maximum is None or value < self.exclusive_maximum)
        )


NO_BOUNDS: Final = Bounds()


def read_bounds(content: Mapping[str, Any], type_name: str, where: str) -> Bounds:
    """Read the bounds that a spec declares for an argument of the type `type_name`.

    Raises:
        InvalidComponentSpecError: a bound is useless, or not allowed for this type.
    """
    given = {key: content[key] for key in BOUND_KEYS if content.get(key) is not None}
    for key, value in given.items():
        find_problem = _pattern_problem if key == "pattern" else _number_problem
        if problem := find_problem(value, type_name):
            msg = f"{where}: `{key}` {problem}."
            raise InvalidComponentSpecError(msg)
    bounds = Bounds(**given)
    if _is_empty(bounds):
        msg = f"{where}: no value is {bounds.describe()}; state bounds that a value can satisfy."
        raise InvalidComponentSpecError(msg)
    return bounds


def _number_problem(value: Any, type_name: str) -> str | None:
    if type_name not in ("int", "float", *_LISTS):
        return f"is for numbers and lists of numbers, not for the type {type_name}"
    if type(value) not in (int, float) or not math.isfinite(value):
        return f"must be a finite number, not {value!r}"
    return None


def _pattern_problem(value: Any, type_name: str) -> str | None:
    if type_name not in ("str", *_LISTS):
        return f"is for texts and lists of texts, not for the type {type_name}"
    try:
        _matches(value, "")
    except (pa.ArrowException, TypeError, UnicodeError):
        return f"must be a regular expression, not {value!r}"
    return None


def _matches(pattern: str, text: str) -> bool:
    """Return whether a whole text matches, using Arrow's regex engine, which takes linear time."""
    import pyarrow.compute as pc  # noqa: PLC0415 - slow to import

    # `pa.array` of a list would import pandas, to see whether it is a series.
    encoded = text.encode(errors="replace")
    ends = struct.pack("=2i", 0, len(encoded))
    column = pa.Array.from_buffers(pa.string(), 1, [None, *map(pa.py_buffer, (ends, encoded))])
    return bool(pc.match_substring_regex(column, rf"\A(?:{pattern})\z")[0].as_py())


def _is_empty(bounds: Bounds) -> bool:
    """Return whether no number satisfies the bounds; numbers and a pattern together count, too."""
    lows = [n for n in (bounds.minimum, bounds.exclusive_minimum) if n is not None]
    highs = [n for n in (bounds.maximum, bounds.exclusive_maximum) if n is not None]
    if bounds.pattern is not None:
        return bool(lows or highs)
    if not lows or not highs:
        return False
    low, high = max(lows), min(highs)
    excluded = low == bounds.exclusive_minimum or high == bounds.exclusive_maximum
    return low > high or (low == high and excluded)
