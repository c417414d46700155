"""The state of a row while it is captioned, and which captions it already has."""

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final

from fondant_spec.errors import InvalidArgumentError
from image_toolkit.blank_texts import is_blank
from image_toolkit.models.captioning.caption_text import repeats
from image_toolkit.models.captioning.chat_answers import CUT_OFF
from image_toolkit.models.captioning.refusals import refuses
from image_toolkit.models.embedding.embedders import Vectors
from image_toolkit.models.runtime.feed_rows import FeedRow, UnusableError

ALT_TEXT: Final = "alt_text"
CAPTION: Final = "caption"
CLASS_PROMPT: Final = "class_prompt"
_AS_IT_IS: Final = ("existing", "class")
"""Sources of captions that are not framed."""


@dataclass(frozen=True)
class Choice:
    """Which captions are taken from the dataset instead of a model.

    `keep_existing`: a row's `caption`, if it has one. `alt_text_ratio`: the share of rows that use
    their `alt_text`, if they have one; which rows depends on their id and a seed. `keep_alt_text`:
    all keep it as a further caption. An image of the class, which has a `class_prompt`, has only
    that as its caption.
    """

    keep_existing: bool = False
    alt_text_ratio: float = 0.0
    keep_alt_text: bool = False

    def __post_init__(self) -> None:
        """Check the ratio.

        Raises:
            InvalidArgumentError: it is not from 0 to 1.
        """
        if not 0 <= self.alt_text_ratio <= 1:
            msg = "alt_text_ratio: must be from 0 to 1."
            raise InvalidArgumentError(msg)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that this needs, if the dataset has them."""
        alt_text = self.alt_text_ratio > 0 or self.keep_alt_text
        return (CAPTION,) * self.keep_existing + (ALT_TEXT,) * alt_text

    def given(self, row: FeedRow, seed: int) -> tuple[str, str] | None:
        """Return a row's existing caption, and its source; None if it needs one."""
        of_class = row.fields.get(CLASS_PROMPT) or ""
        if not is_blank(of_class):
            return of_class, "class"
        existing = row.fields.get(CAPTION) or ""
        if self.keep_existing and not is_blank(existing):
            return existing, "existing"
        alt_text = alt_text_of(row)
        if alt_text and _lot(row.id, seed) < self.alt_text_ratio:
            return alt_text, ALT_TEXT
        return None


@dataclass
class Draft:
    """A row's caption in progress; `problem` says why there is none.

    `prompt` is the question, None for the captioner's default. `said` is the caption without its
    frame. `further` are additional captions; `missed` says why some of them are missing.
    """

    row: FeedRow
    text: str = ""
    source: str = "model"
    prompt: str | None = None
    said: str = ""
    pixels: Any = None
    clip_pixels: Any = None
    clip_vector: Vectors | None = None
    clip_score: float | None = None
    caption_tokens: int | None = None
    problem: UnusableError | None = None
    further: list[str] = field(default_factory=list)
    missed: list[UnusableError] = field(default_factory=list)

    @property
    def is_poor(self) -> bool:
        """Whether a second attempt may give a better caption."""
        if self.problem is not None:
            return self.problem.reason == CUT_OFF
        return is_poor(self.text)

    @property
    def stays(self) -> bool:
        """Whether the caption is used as it is, without a frame."""
        return self.source in _AS_IT_IS

    @property
    def is_asked_more(self) -> bool:
        """Whether further captions are requested."""
        return self.problem is None and self.source != "class"

    def once_more(self) -> "Draft":
        """Return a draft for a further caption of the same image."""
        return Draft(self.row, said=self.said, pixels=self.pixels, clip_vector=self.clip_vector)

    def take(self, further: "Draft") -> None:
        """Add a further caption, or the reason why there is none."""
        if further.problem is not None:
            self.missed.append(further.problem)
            return
        self.said = further.said
        self.add(further.text)

    def add(self, text: str) -> None:
        """Add a further caption, unless it is already there."""
        if text not in (self.text, *self.further):
            self.further.append(text)


def alt_text_of(row: FeedRow) -> str:
    """Return a row's alt text as one line; empty if it has none."""
    text = " ".join((row.fields.get(ALT_TEXT) or "").split())
    return "" if is_blank(text) else text


def is_poor(text: str) -> bool:
    """Return whether a text repeats itself, or declines to describe the image."""
    return repeats(text) or refuses(text)


def _lot(row_id: str, seed: int) -> float:
    digest = hashlib.blake2b(f"{seed}:alt:{row_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
