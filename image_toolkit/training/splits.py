"""The splits of a dataset, and how it is drawn which of them an image falls into."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from image_toolkit.blank_texts import is_blank
from image_toolkit.training.bad_rows import BadRowError

SPLIT: Final = "split"
"""The field that says which split a row is in."""

GROUP: Final = "group_id"
"""The field that is the same for images that are all but the same."""

CLASS_PROMPT: Final = "class_prompt"
"""The field that rows of the class alone have, by which their images were found."""

TRAIN: Final = "train"
VALIDATION: Final = "validation"
REGULARIZATION: Final = "regularization"
"""Images of the class alone, which keep the model from forgetting it."""


def split_of(row: Mapping[str, Any], validation_fraction: float) -> str:
    """Return the split of a row: that of its class, or the chosen one, or the drawn one.

    Raises:
        BadRowError: the chosen one is none that is known, or there is nothing to draw one by.
    """
    chosen = chosen_split(row)
    if not is_blank(row.get(CLASS_PROMPT)):
        return REGULARIZATION
    group = group_of(row)
    if chosen is None and group is None and not row["image"]:
        raise BadRowError(reason="no_image", message="nothing to draw a split by")
    return chosen or drawn_split(row["image"], group, validation_fraction)


def group_of(row: Mapping[str, Any]) -> str | None:
    """Return the group of a row; a blank one is none, as null is."""
    group: str | None = row.get(GROUP)
    return None if is_blank(group) else group


def drawn_split(image: bytes, group: str | None, validation_fraction: float) -> str:
    """Return the split that is drawn by the name of an image's group, or else by its bytes.

    So what is alike, or at least equal, falls on the same side, in every step and every run.
    """
    drawn_by = image if group is None else group.encode()
    drawn = int.from_bytes(hashlib.sha256(drawn_by).digest()[:8], "big") / 2**64
    return VALIDATION if drawn < validation_fraction else TRAIN


def none_held_out(rows: Mapping[str, int], validation_fraction: float) -> str:
    """Return what to say where a share was to be held out, and no row is; else an empty text.

    `rows` are how many there are in each split.
    """
    if not validation_fraction or not rows.get(TRAIN) or rows.get(VALIDATION):
        return ""
    return (
        f"None of {rows[TRAIN]:,} rows is held out, though validation_fraction is "
        f"{validation_fraction:g}: by that each is drawn for itself, so of few it may be none. "
        f"Raise it, or choose some by a field {SPLIT!r} that says {VALIDATION!r}."
    )


def chosen_split(row: Mapping[str, Any]) -> str | None:
    """Return the split that somebody has chosen for a row; None where nobody has.

    Raises:
        BadRowError: it is none that is known: what is kept apart must not end up in another.
    """
    split: str | None = row.get(SPLIT) or None
    is_class = not is_blank(row.get(CLASS_PROMPT))
    if split not in (None, TRAIN, VALIDATION, REGULARIZATION if is_class else TRAIN):
        message = f"the split is {split!r}, neither {TRAIN} nor {VALIDATION}"
        raise BadRowError(reason="unknown_split", message=message)
    return split
