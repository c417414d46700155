"""The splits of a dataset, and how it is drawn which of them an image falls into."""

import hashlib
from typing import Final

SPLIT: Final = "split"
"""The field that says which split a row is in."""

GROUP: Final = "group_id"
"""The field that is the same for images that are all but the same."""

TRAIN: Final = "train"
VALIDATION: Final = "validation"


def drawn_split(image: bytes, group: str | None, validation_fraction: float) -> str:
    """Return the split that is drawn by the name of an image's group, or else by its bytes.

    So what is alike, or at least equal, falls on the same side, in every step and every run.
    """
    drawn_by = image if group is None else group.encode()
    drawn = int.from_bytes(hashlib.sha256(drawn_by).digest()[:8], "big") / 2**64
    return VALIDATION if drawn < validation_fraction else TRAIN
