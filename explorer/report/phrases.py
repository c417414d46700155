"""The phrases that many captions share.

A model that is trained on captions of which most begin "a photo of" learns its subject as part of
that. A phrase is two words or more in a row, or one that stands alone between commas, as tags do.
Found as frequent item sets are (Agrawal and Srikant, 1994): a phrase is frequent only if what it
begins with and what it ends with are, so that few others are ever counted.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

LEAST_SHARE: Final = 0.2
"""Of the captions that have a phrase."""

_MOST_WORDS: Final = 8
_FEWEST: Final = 3
_SHOWN: Final = 12
_NEARLY_ALL: Final = 0.8

_PART: Final = re.compile(r"[^.,;:!?()\[\]{}\"\n|/]+")
_WORD: Final = re.compile(r"\w+(?:['\u2019-]\w+)*")
_SMALL: Final = frozenset(
    "a an and are as at be by for from has in is it its of on or that the there this to was with".split()  # noqa: E501, SIM905
)
"""Words of which no phrase is made alone."""

Phrase = tuple[str, ...]


@dataclass(frozen=True)
class SharedPhrase:
    """Some words, and how many captions have them."""

    words: str
    captions: int
    share: float


def shared_phrases(
    captions: Mapping[str, int], least_share: float = LEAST_SHARE
) -> list[SharedPhrase]:
    """Return the phrases that many captions share, the most frequent first.

    Those of which nearly all stand in a longer one of these are left out.

    Args:
        captions: Texts, and how many images have each.
        least_share: Of all captions.
    """
    total = sum(captions.values())
    least = max(least_share * total, _FEWEST)
    frequent = _frequent(captions, least)
    longest_first = sorted(frequent, key=lambda one: (-len(one), -frequent[one], one))
    kept: list[Phrase] = []
    for phrase in longest_first:
        nearly = _NEARLY_ALL * frequent[phrase]
        if not any(_holds(longer, phrase) and frequent[longer] >= nearly for longer in kept):
            kept.append(phrase)
    kept.sort(key=lambda one: (-frequent[one], -len(one), one))
    return [
        SharedPhrase(" ".join(one), frequent[one], frequent[one] / total) for one in kept[:_SHOWN]
    ]


def _frequent(captions: Mapping[str, int], least: float) -> dict[Phrase, int]:
    words: Counter[str] = Counter()
    alone: Counter[Phrase] = Counter()
    for caption, count in captions.items():
        parts = list(_parts(caption))
        for word in {word for part in parts for word in part}:
            words[word] += count
        for phrase in filter(_is_one_word, set(parts)):
            alone[phrase] += count
    often = {word for word, count in words.items() if count >= least}
    runs = [
        (found, count)
        for caption, count in captions.items()
        if (found := [run for part in _parts(caption) for run in _runs(part, often)])
    ]
    frequent = {phrase: count for phrase, count in alone.items() if count >= least}
    shorter: set[Phrase] = {(word,) for word in often}
    for length in range(2, _MOST_WORDS + 1):
        counted: Counter[Phrase] = Counter()
        for found, count in runs:
            for phrase in {one for run in found for one in _of_length(run, length, shorter)}:
                counted[phrase] += count
        shorter = {phrase for phrase, count in counted.items() if count >= least}
        frequent |= {phrase: counted[phrase] for phrase in shorter}
    return {phrase: count for phrase, count in frequent.items() if not _SMALL.issuperset(phrase)}


def _is_one_word(part: Phrase) -> bool:
    return len(part) == 1


def _parts(caption: str) -> Iterator[Phrase]:
    """Yield the words of a caption, from one sign of punctuation to the next."""
    for part in _PART.findall(caption.casefold()):
        if words := tuple(_WORD.findall(part)):
            yield words


def _runs(part: Phrase, often: set[str]) -> Iterator[Phrase]:
    """Yield the pieces of two words or more of which all are frequent."""
    start = 0
    for end in range(len(part) + 1):
        if end == len(part) or part[end] not in often:
            if end - start > 1:
                yield part[start:end]
            start = end + 1


def _of_length(run: Phrase, length: int, shorter: set[Phrase]) -> Iterator[Phrase]:
    for start in range(len(run) - length + 1):
        phrase = run[start : start + length]
        if phrase[:-1] in shorter and phrase[1:] in shorter:
            yield phrase


def _holds(longer: Phrase, phrase: Phrase) -> bool:
    return f" {' '.join(phrase)} " in f" {' '.join(longer)} "
