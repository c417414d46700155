"""The texts of a pair: its captions, and its tags."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from math import isfinite
from typing import Any, Final

from image_toolkit.blank_texts import is_blank, shown_once
from image_toolkit.training.bad_rows import BadRowError

CAPTION: Final = "caption"
MORE_CAPTIONS: Final = "more_captions"
TAGS: Final = "tags"
TAG_WEIGHTS: Final = "tag_weights"
CLASS_PROMPT: Final = "class_prompt"
"""The field with the class prompt, set only in rows of class images: see `regularization`."""

SEPARATOR: Final = ", "


@dataclass(frozen=True)
class Tag:
    """A tag about an image, and its weight; 1 is neutral."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True)
class Texts:
    """One or more captions, of which the first is the main one, and tags for each of them."""

    captions: tuple[str, ...]
    tags: tuple[Tag, ...] = ()

    def drawn(self, stem: str) -> str:
        """Return one caption, for trainers that take one: chosen at random, fixed for a stem."""
        digest = hashlib.sha256(stem.encode()).digest()
        return self.captions[int.from_bytes(digest[:8], "big") % len(self.captions)]

    def with_tags(self, caption: str) -> str:
        """Return a caption followed by the tags, as trainers have them in one text."""
        return SEPARATOR.join([caption, *(tag.text for tag in self.tags)])


def texts_of(row: Mapping[str, Any]) -> Texts:
    """Return the texts of a row; blank ones and duplicates are dropped.

    If a row has tags and no caption, the tags are the caption. The only text of a class image is
    the class prompt.

    Raises:
        BadRowError: there is no text at all, or the weights do not match the tags.
    """
    if not is_blank(row.get(CLASS_PROMPT)):
        return Texts((row[CLASS_PROMPT],))
    tags = _tags(row.get(TAGS) or [], row.get(TAG_WEIGHTS))
    captions = shown_once([row.get(CAPTION), *(row.get(MORE_CAPTIONS) or [])])
    if captions:
        return Texts(captions, tags)
    if tags:
        return Texts((SEPARATOR.join(tag.text for tag in tags),))
    raise BadRowError(reason="no_caption", message="the caption is null or blank")


def one_line(text: str) -> str:
    """Join the lines of a text, for readers that take each line of a file as a text of its own."""
    return " ".join(text.split())


def _tags(tags: Sequence[str | None], weights: Sequence[float | None] | None) -> tuple[Tag, ...]:
    if weights and len(weights) != len(tags):
        message = f"there are {len(weights)} weights for {len(tags)} tags"
        raise BadRowError(reason="bad_tags", message=message)
    found: dict[str, Tag] = {}
    for tag, weight in zip_longest(tags, weights or ()):
        if weight is not None and not (isfinite(weight) and weight > 0):
            message = f"tag {tag!r} has the weight {weight}, which must be above 0"
            raise BadRowError(reason="bad_tags", message=message)
        if tag is not None and not is_blank(tag):
            text = one_line(tag)
            found.setdefault(text, Tag(text, 1.0 if weight is None else weight))
    return tuple(found.values())
