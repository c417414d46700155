"""What a row says of its image: the captions, the split, and how often it is seen."""

from collections.abc import Mapping
from typing import Any, Final

from row_faults import RowFaultError

from image_toolkit.blank_texts import is_blank
from image_toolkit.training.splits import GROUP, SPLIT, TRAIN, VALIDATION, drawn_split

_MOST_REPEATS: Final = 1000


def captions_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the captions of a row, the main one first, each once and none of them blank.

    Raises:
        RowFaultError: it has none.
    """
    texts = [row["caption"], *(row.get("more_captions") or [])]
    captions = tuple(dict.fromkeys(text for text in texts if text and not is_blank(text)))
    if not captions:
        raise RowFaultError(reason="no_caption", message="the caption is null or blank")
    return captions


def split_of(row: Mapping[str, Any], validation_fraction: float) -> str:
    """Return the split that a row is in: the one that it names, or else one that is drawn.

    Raises:
        RowFaultError: it names another one.
    """
    split: str = row.get(SPLIT) or drawn_split(row["image"], row.get(GROUP), validation_fraction)
    if split not in (TRAIN, VALIDATION):
        message = f"the split is {split!r}, neither {TRAIN} nor {VALIDATION}"
        raise RowFaultError(reason="unknown_split", message=message)
    return split


def repeats_of(row: Mapping[str, Any]) -> int:
    """Return how often an epoch has the image of a row: once, where nobody says.

    Raises:
        RowFaultError: it would be never, or more than a thousand times.
    """
    repeats = row.get("repeats")
    if repeats is None:
        return 1
    if not 1 <= repeats <= _MOST_REPEATS:
        message = f"repeats is {repeats}, which must be from 1 to {_MOST_REPEATS:,}"
        raise RowFaultError(reason="bad_repeats", message=message)
    return int(repeats)
