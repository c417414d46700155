"""The splits of a dataset, and how an image is assigned to one."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from image_toolkit.blank_texts import is_blank
from image_toolkit.training.bad_rows import BadRowError

SPLIT: Final = "split"
"""The field with the split of a row."""

GROUP: Final = "group_id"
"""The field that is equal for near-duplicates."""

CLASS_PROMPT: Final = "class_prompt"
"""The field that only rows of the class have: the prompt by which their images were found."""

TRAIN: Final = "train"
VALIDATION: Final = "validation"
REGULARIZATION: Final = "regularization"
"""Images of the class, which keep the model from forgetting it."""


def split_of(row: Mapping[str, Any], validation_fraction: float) -> str:
    """Return the split of a row: that of its class, or the chosen one, or a drawn one.

    Raises:
        BadRowError: the chosen split is unknown, or there is nothing to draw one by.
    """
    chosen = chosen_split(row)
    if not is_blank(row.get(CLASS_PROMPT)):
        return REGULARIZATION
    group = group_of(row)
    if chosen is None and group is None and not row["image"]:
        raise BadRowError(reason="no_image", message="nothing to draw a split by")
    return chosen or drawn_split(row["image"], group, validation_fraction)


def group_of(row: Mapping[str, Any]) -> str | None:
    """Return the group of a row; None if it is null or blank."""
    group: str | None = row.get(GROUP)
    return None if is_blank(group) else group


def drawn_split(image: bytes, group: str | None, validation_fraction: float) -> str:
    """Draw a split by the name of an image's group, or else by its bytes.

    So near-duplicates, or at least equal images, are always on the same side, in every step and
    run.
    """
    drawn_by = image if group is None else group.encode()
    drawn = int.from_bytes(hashlib.sha256(drawn_by).digest()[:8], "big") / 2**64
    return VALIDATION if drawn < validation_fraction else TRAIN


def none_held_out(rows: Mapping[str, int], validation_fraction: float) -> str:
    """Return the warning if a fraction should be held out, but no row is; otherwise empty.

    `rows` is the number of rows in each split.
    """
    if not validation_fraction or not rows.get(TRAIN) or rows.get(VALIDATION):
        return ""
    return (
        f"None of {rows[TRAIN]:,} rows is held out, though validation_fraction is "
        f"{validation_fraction:g}: by that each is drawn for itself, so of few it may be none. "
        f"Raise it, or choose some by a field {SPLIT!r} that says {VALIDATION!r}."
    )


def chosen_split(row: Mapping[str, Any]) -> str | None:
    """Return the split that was chosen for a row; None if there is none.

    Raises:
        BadRowError: it is unknown: an image that is to be kept apart must not end up in another
            split.
    """
    split: str | None = row.get(SPLIT) or None
    is_class = not is_blank(row.get(CLASS_PROMPT))
    if split not in (None, TRAIN, VALIDATION, REGULARIZATION if is_class else TRAIN):
        message = f"the split is {split!r}, neither {TRAIN} nor {VALIDATION}"
        raise BadRowError(reason="unknown_split", message=message)
    return split
