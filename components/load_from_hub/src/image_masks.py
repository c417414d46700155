"""Masks among the images of a folder, as trainers have them: they are no rows of their own.

OneTrainer's lie beside their images, `1-masklabel.png`; those of others in `masks/`, by the same
names.
"""

import posixpath
from collections.abc import Collection
from typing import Final

from file_kinds import stem_of

_FOLDER: Final = "masks"
_LABEL: Final = "-masklabel"

Key = tuple[str, str]


def key_of(image: str) -> Key:
    """Return what an image's mask is found by: its first folder and its name."""
    first, below, _ = image.partition("/")
    return first if below else "", posixpath.basename(stem_of(image))


def masks_of(images: Collection[str]) -> dict[Key, str]:
    """Return the images that are masks of others, by the keys of these."""
    keys = {key_of(image) for image in images if not _is_label(image)}
    found = {}
    for image in images:
        key = _masked(image)
        if key is not None and key in keys:
            found[key] = image
    return found


def _is_label(image: str) -> bool:
    return stem_of(image).endswith(_LABEL)


def _masked(image: str) -> Key | None:
    """Return the key of the image that this would be the mask of."""
    if _is_label(image):
        folder, name = key_of(image)
        return folder, name.removesuffix(_LABEL)
    first, _, below = image.partition("/")
    return key_of(below) if first == _FOLDER and below else None
