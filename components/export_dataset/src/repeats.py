"""How often a trainer is to see a pair in an epoch."""

from typing import Final, NamedTuple

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
