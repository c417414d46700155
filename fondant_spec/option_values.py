"""Parsers of command-line option values, for `argparse`'s `type`.

All of them raise `argparse.ArgumentTypeError` for an invalid value.
"""

import argparse
from collections.abc import Callable
from contextlib import suppress


def count(word: str) -> int:
    """Return an integer of at least 1; `_` and `,` may separate its digits."""
    digits = word.replace(",", "").replace("_", "")
    if not digits.isdecimal() or int(digits) < 1:
        msg = f"must be a whole number of at least 1, not {word!r}"
        raise argparse.ArgumentTypeError(msg)
    return int(digits)


def port(word: str) -> int:
    """Return a port number; 0 means any free port."""
    most = 65535
    if not word.isdecimal() or int(word) > most:
        msg = f"must be a port, from 0 to {most}, not {word!r}"
        raise argparse.ArgumentTypeError(msg)
    return int(word)


def part(word: str) -> tuple[int, int]:
    """Parse `3/20` into a part, counted from 1, and the number of parts."""
    which, _, parts = word.partition("/")
    if not (which.isdecimal() and parts.isdecimal() and 1 <= int(which) <= int(parts)):
        msg = f"must be one part of several, such as 3/20, not {word!r}"
        raise argparse.ArgumentTypeError(msg)
    return int(which), int(parts)


def number(least: float, most: float) -> Callable[[str], float]:
    """Return a parser of numbers from `least` to `most`, both included."""

    def read(word: str) -> float:
        with suppress(ValueError):
            if least <= float(word) <= most:
                return float(word)
        msg = f"must be a number from {least:g} to {most:g}, not {word!r}"
        raise argparse.ArgumentTypeError(msg)

    return read
