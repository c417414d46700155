"""Choosing an image's tags by confidence, and formatting them."""

import logging
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from tag_list import CATEGORIES, KnownTag

from fondant_spec.errors import InvalidArgumentError, did_you_mean

logger = logging.getLogger(__name__)

RATING: Final = "rating"

_FACE: Final = re.compile(r"\W*[^\W_]?\W*_\W*[^\W_]?\W*")
"""Emoticons: at most one letter or digit on either side of the mouth."""


@dataclass(frozen=True)
class TagSettings:
    """Which tags to choose, and how to format them; see the spec.

    Raises:
        InvalidArgumentError: a category is unknown, a threshold is not from 0 to 1, or a text is
            invalid.
    """

    thresholds: Mapping[str, float] = field(
        default_factory=lambda: {"general": 0.35, "character": 0.85}
    )
    block: Sequence[str] = ()
    replace: Mapping[str, str] = field(default_factory=dict)
    keep_underscores: bool = False

    def __post_init__(self) -> None:
        for category, threshold in self.thresholds.items():
            if category not in CATEGORIES.values():
                hint = did_you_mean(category, [*CATEGORIES.values()])
                there = ", ".join(CATEGORIES.values())
                msg = f"tag_images: thresholds: no category {category!r}{hint} There are {there}."
                raise InvalidArgumentError(msg)
            if not _is_share(threshold):
                msg = (
                    f"tag_images: thresholds: {category} must be a number from 0 to 1, not "
                    f"{threshold!r}."
                )
                raise InvalidArgumentError(msg)
        for name in self.block:
            if not isinstance(name, str):
                msg = f"tag_images: block: a tag is a text, not {name!r}."
                raise InvalidArgumentError(msg)
        for name, text in self.replace.items():
            if not isinstance(text, str) or not text.strip():
                msg = f"tag_images: replace: {name!r} needs words; to leave it out, block it."
                raise InvalidArgumentError(msg)


class TagChoice:
    """Chooses the tags of images among those that a model knows.

    Raises:
        InvalidArgumentError: a threshold is for a category without tags in the model.
    """

    def __init__(self, known: Sequence[KnownTag], settings: TagSettings) -> None:
        there = {tag.category for tag in known}
        for category in settings.thresholds:
            if category not in there:
                msg = (
                    f"tag_images: thresholds: the model has no tags of category {category!r}; it "
                    f"has {', '.join(sorted(there))}."
                )
                raise InvalidArgumentError(msg)
        self._keeps = settings.keep_underscores
        blocked = {*map(_key, settings.block)}
        replaced = {_key(name): text.strip() for name, text in settings.replace.items()}
        _tell_unknown("block", settings.block, known)
        _tell_unknown("replace", settings.replace, known)
        self._texts = [replaced.get(_key(tag.name), self._written(tag.name)) for tag in known]
        self._least = np.array(
            [
                np.inf
                if _key(tag.name) in blocked
                else settings.thresholds.get(tag.category, np.inf)
                for tag in known
            ]
        )
        self._ratings = np.flatnonzero([tag.category == RATING for tag in known])

    @property
    def has_ratings(self) -> bool:
        """Whether the model rates images."""
        return bool(len(self._ratings))

    def tags(self, sureness: npt.NDArray[np.float32]) -> dict[str, float]:
        """Return the tags of an image with their confidence, highest first.

        Args:
            sureness: the confidence of all tags of the model, from 0 to 1, shape (tags,).
        """
        sure = np.flatnonzero((sureness >= self._least) & (sureness > 0))
        found: dict[str, float] = {}
        for place in sure[np.argsort(-sureness[sure], kind="stable")]:
            found.setdefault(self._texts[place], float(sureness[place]))
        return found

    def rating(self, sureness: npt.NDArray[np.float32]) -> str:
        """Return the rating with the highest confidence."""
        best = int(np.argmax(sureness[self._ratings]))
        return self._texts[int(self._ratings[best])]

    def _written(self, name: str) -> str:
        return name if self._keeps else with_spaces(name)


def with_spaces(name: str) -> str:
    """Return a tag with underscores replaced by spaces, unless it is an emoticon such as `^_^`."""
    return name if _FACE.fullmatch(name) else name.replace("_", " ")


def _key(name: str) -> str:
    """Return a key that is the same for all spellings of a tag."""
    return name.strip().replace(" ", "_").lower()


def _tell_unknown(argument: str, names: Iterable[str], known: Sequence[KnownTag]) -> None:
    keys = {_key(tag.name) for tag in known}
    for name in names:
        if _key(name) not in keys:
            hint = did_you_mean(name, [tag.name for tag in known])
            logger.warning("%s: the model knows no tag %r%s", argument, name, hint)


def _is_share(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and 0 <= value <= 1
