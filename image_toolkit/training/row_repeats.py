"""How often an epoch has the image of a row."""

from collections.abc import Mapping
from typing import Any, Final

from image_toolkit.training.bad_rows import BadRowError

REPEATS: Final = "repeats"
MOST: Final = 1000
"""More is taken for a number that means something else: some trainers list an image that often."""


def repeats_of(row: Mapping[str, Any]) -> int:
    """Return how often the image of a row is to be seen: once, where nobody says.

    Raises:
        BadRowError: it would be never, or more than a thousand times.
    """
    repeats = row.get(REPEATS)
    if repeats is None:
        return 1
    if not 1 <= repeats <= MOST:
        message = f"{REPEATS} is {repeats}, which must be from 1 to {MOST:,}"
        raise BadRowError(reason="bad_repeats", message=message)
    return int(repeats)
