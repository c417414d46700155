"""How often a trainer is to see a pair in an epoch."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from bad_pair import BadPairError

REPEATS: Final = "repeats"
MOST: Final = 1000
"""More is taken for a number that means something else: some trainers list an image that often."""

NOT_REPEATED: Final = (
    "`repeats` in the metadata is how often a pair is to be seen in an epoch. `datasets`, and what "
    "trains by it, does not read that, and sees each pair once. A script of your own can repeat "
    "rows by it: `dataset.select([row for row, n in enumerate(repeats) for _ in range(n)])`."
)
"""What a README says where no reader repeats anything. A pair that was listed several times would
be several rows to all that read tables, and on both sides of a split that somebody draws."""


class Part(NamedTuple):
    """The pairs of a split that are to be seen so many times an epoch."""

    split: str
    repeats: int


def repeats_of(row: Mapping[str, Any]) -> int:
    """Return how often the image of a row is to be seen: once, where nobody says.

    Raises:
        BadPairError: it would be never, or more than a thousand times.
    """
    repeats = row.get(REPEATS)
    if repeats is None:
        return 1
    if not 1 <= repeats <= MOST:
        message = f"{REPEATS} is {repeats}, which must be from 1 to {MOST:,}"
        raise BadPairError(reason="bad_repeats", message=message)
    return int(repeats)
