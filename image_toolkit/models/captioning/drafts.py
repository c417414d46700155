"""What becomes of a row on its way to its captions, and which of them it brings along."""

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
"""Sources of captions that nothing is put around."""


@dataclass(frozen=True)
class Choice:
    """Which captions are taken from the dataset instead of a model.

    `keep_existing`: a row's `caption`, where it has one. `alt_text_ratio`: the share of rows that
    keep their `alt_text`, where they have one; which rows these are depends on their id and a seed.
    `keep_alt_text`: all keep it, as a further caption. An image of the class alone, which has a
    `class_prompt`, is called by that and nothing else.
    """

    keep_existing: bool = False
    alt_text_ratio: float = 0.0
    keep_alt_text: bool = False

    def __post_init__(self) -> None:
        """Check the ratio.

        Raises:
            InvalidArgumentError: it is no share.
        """
        if not 0 <= self.alt_text_ratio <= 1:
            msg = "alt_text_ratio: must be from 0 to 1."
            raise InvalidArgumentError(msg)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that this needs, where the dataset has them."""
        alt_text = self.alt_text_ratio > 0 or self.keep_alt_text
        return (CAPTION,) * self.keep_existing + (ALT_TEXT,) * alt_text

    def given(self, row: FeedRow, seed: int) -> tuple[str, str] | None:
        """Return the caption that a row brings along, and its source; None if it needs one."""
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
    """A row's caption in the making; `problem` says why there is none.

    `prompt` is what is asked, None for the captioner's own words. `said` is the caption without
    what is put around it. `further` are captions beside it, `missed` why some are not there.
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
        """Whether the caption stays as it is, with nothing around it."""
        return self.source in _AS_IT_IS

    @property
    def is_asked_more(self) -> bool:
        """Whether there are to be further captions."""
        return self.problem is None and self.source != "class"

    def once_more(self) -> "Draft":
        """Return a draft for a further caption of the same image."""
        return Draft(self.row, said=self.said, pixels=self.pixels, clip_vector=self.clip_vector)

    def take(self, further: "Draft") -> None:
        """Enter a further caption, or why there is none."""
        if further.problem is not None:
            self.missed.append(further.problem)
            return
        self.said = further.said
        self.add(further.text)

    def add(self, text: str) -> None:
        """Enter a further caption, unless there is the same."""
        if text not in (self.text, *self.further):
            self.further.append(text)


def alt_text_of(row: FeedRow) -> str:
    """Return a row's alt text as one line; empty where it has none."""
    text = " ".join((row.fields.get(ALT_TEXT) or "").split())
    return "" if is_blank(text) else text


def is_poor(text: str) -> bool:
    """Return whether a text says something twice, or declines to describe."""
    return repeats(text) or refuses(text)


def _lot(row_id: str, seed: int) -> float:
    digest = hashlib.blake2b(f"{seed}:alt:{row_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
