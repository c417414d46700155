"""Captions as texts: cleaned, checked for repetition, and framed with prefix and suffix."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Final

from image_toolkit.models.captioning.placeholders import filled

_REPEATED_WORDS: Final = 3
_CONTENT_LENGTH: Final = 4
_MOST_OF_A_WORD: Final = 3
# Non-words that BLIP is known to begin captions with.
_ARTEFACT: Final = re.compile(r"\b(?:arafed|araffe|arafe|araffes|arafes)\b\s*", re.IGNORECASE)
# A model's reasoning before its answer. Some chat templates open the block in the prompt.
_THOUGHTS: Final = re.compile(
    r"\A(?:.*</think(?:ing)?>|\s*<think(?:ing)?>.*)", re.DOTALL | re.IGNORECASE
)
# A full stop before a digit does not end a sentence: "a .50 calibre gun".
_LOOSE_MARK: Final = re.compile(r"\s+([,;:!?]|\.(?!\d))")
# A pair around the whole text. An apostrophe within a word is not a quote.
_QUOTED: Final = re.compile(r"""(["'])((?:(?!\1).|(?<=\w)\1(?=\w))*)\1""")
_BETWEEN_TAGS: Final = re.compile(r"[,;\n]")
# List numbers and bullets before a tag, quotes around it, a full stop at the end.
_AROUND_TAG: Final = re.compile(r"""^\s*(?:\d+[.)]\s|[-*\u2022#]+\s?)?\s*["'`]*|["'`.\s]*$""")
_SEPARATORS: Final = ",;:\uff0c\u3001\uff1b\uff1a"
_STOPS: Final = ".\u3002"
_MARKED: Final = re.compile(rf"[{_SEPARATORS}!?\u3002]|\.(?!\d)")


@dataclass(frozen=True)
class Frame:
    """What surrounds each caption: `<trigger word>, <prefix><caption><suffix>`."""

    trigger_word: str | None = None
    prefix: str | None = None
    suffix: str | None = None

    def filled(self, row: Mapping[str, Any]) -> "Frame":
        """Fill in the fields of a row that the frame names in braces."""
        texts = {name: text and filled(text, row) for name, text in asdict(self).items()}
        return Frame(**texts)

    def around(self, caption: str) -> str:
        """Return the caption in its frame.

        No second separator is added after one that a part brings, as in `sks,` or `style:`.
        """
        text = _joined(_joined(self.prefix or "", caption), self.suffix or "").strip()
        word = (self.trigger_word or "").rstrip(", ").strip()
        if not word:
            return text
        return _joined(word if word[-1] in _SEPARATORS else f"{word},", text)


def clean(text: str) -> str:
    """Return a generated text as one line, without reasoning and known artefacts."""
    line = " ".join(_ARTEFACT.sub("", _THOUGHTS.sub("", text)).split())
    whole = _LOOSE_MARK.sub(r"\1", line).strip()
    quoted = _QUOTED.fullmatch(whole)
    return quoted[2].strip() if quoted else whole


def as_tags(text: str) -> str:
    """Convert a generated list, by lines or commas, to unique tags separated by commas."""
    parts = (_AROUND_TAG.sub("", part) for part in _BETWEEN_TAGS.split(_THOUGHTS.sub("", text)))
    tags = [" ".join(part.split()) for part in parts]
    first = {tag.casefold(): tag for tag in reversed(tags)}
    return ", ".join(tag for tag in dict.fromkeys(tags) if tag and first[tag.casefold()] == tag)


def repeats(text: str) -> bool:
    """Return whether a text repeats itself.

    The same three words twice, the same word twice in a row, or one longer word four times.
    """
    words = re.findall(r"\w+", text.lower())
    runs = [tuple(words[n : n + _REPEATED_WORDS]) for n in range(len(words) - _REPEATED_WORDS + 1)]
    often = Counter(word for word in words if len(word) >= _CONTENT_LENGTH)
    return (
        len(set(runs)) < len(runs)
        or any(first == second for first, second in pairwise(words))
        or any(count > _MOST_OF_A_WORD for count in often.values())
    )


def _joined(left: str, right: str) -> str:
    """Join two texts with a space; before a mark, without the space and the mark that precedes it.

    Of the marks where they join, a question or exclamation mark is kept, and needs no full stop.
    """
    left, right = left.rstrip(), right.lstrip()
    if not left or not right:
        return left or right
    if not _MARKED.match(right):
        return f"{left} {right}"
    left = left.rstrip(_SEPARATORS + _STOPS + " ")
    return left + (right.lstrip(_STOPS) if left.endswith(("!", "?")) else right)
