"""How often a trainer is to see a pair per epoch."""

from typing import Final, NamedTuple

NOT_REPEATED: Final = (
    "`repeats` in the metadata is how often a pair is to be seen in an epoch. `datasets`, and what "
    "trains by it, does not read that, and sees each pair once. A script of your own can repeat "
    "rows by it: `dataset.select([row for row, n in enumerate(repeats) for _ in range(n)])`."
)
"""A note for READMEs of layouts without repeats. Listing a pair several times instead would
make it several rows for anything that reads tables, possibly on both sides of a later split.
"""


class Part(NamedTuple):
    """The pairs of a split with the same number of repeats per epoch."""

    split: str
    repeats: int
