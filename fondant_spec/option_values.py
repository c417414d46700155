"""Reading the values of a command line's options, as `argparse` has it done."""

import argparse


def count(word: str) -> int:
    """Return a number of at least one; `_` and `,` may part its digits.

    Raises:
        argparse.ArgumentTypeError: the word is none.
    """
    digits = word.replace(",", "").replace("_", "")
    if not digits.isdecimal() or int(digits) < 1:
        msg = f"must be a whole number of at least 1, not {word!r}"
        raise argparse.ArgumentTypeError(msg)
    return int(digits)
