"""How often a row's image occurs in an epoch."""

from collections.abc import Mapping
from typing import Any, Final

from image_toolkit.training.bad_rows import BadRowError

REPEATS: Final = "repeats"
MOST: Final = 1000
"""A larger number must mean something else: some trainers list an image that often."""


def repeats_of(row: Mapping[str, Any]) -> int:
    """Return how often a row's image is used per epoch: once by default.

    Raises:
        BadRowError: never, or more than a thousand times.
    """
    repeats = row.get(REPEATS)
    if repeats is None:
        return 1
    if not 1 <= repeats <= MOST:
        message = f"{REPEATS} is {repeats}, which must be from 1 to {MOST:,}"
        raise BadRowError(reason="bad_repeats", message=message)
    return int(repeats)
