"""Reading the values of a command line's options, as `argparse` has it done.

Raises of all of them: `argparse.ArgumentTypeError` for a word that is no such value.
"""

import argparse
from collections.abc import Callable
from contextlib import suppress


def count(word: str) -> int:
    """Return a number of at least one; `_` and `,` may part its digits."""
    digits = word.replace(",", "").replace("_", "")
    if not digits.isdecimal() or int(digits) < 1:
        msg = f"must be a whole number of at least 1, not {word!r}"
        raise argparse.ArgumentTypeError(msg)
    return int(digits)


def port(word: str) -> int:
    """Return the number of a port; 0 is any that is free."""
    most = 65535
    if not word.isdecimal() or int(word) > most:
        msg = f"must be a port, from 0 to {most}, not {word!r}"
        raise argparse.ArgumentTypeError(msg)
    return int(word)


def part(word: str) -> tuple[int, int]:
    """Return which part is meant of how many, from 1 on, of `3/20`."""
    which, _, parts = word.partition("/")
    if not (which.isdecimal() and parts.isdecimal() and 1 <= int(which) <= int(parts)):
        msg = f"must be one part of several, such as 3/20, not {word!r}"
        raise argparse.ArgumentTypeError(msg)
    return int(which), int(parts)


def number(least: float, most: float) -> Callable[[str], float]:
    """Return what reads a number from the one to the other, both included."""

    def read(word: str) -> float:
        with suppress(ValueError):
            if least <= float(word) <= most:
                return float(word)
        msg = f"must be a number from {least:g} to {most:g}, not {word!r}"
        raise argparse.ArgumentTypeError(msg)

    return read
