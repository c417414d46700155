"""Phrases that many captions share.

A model trained on captions that mostly begin with "a photo of" learns its subject as part of that
phrase. A phrase is a run of two or more words, or a single word between commas, as tags are. Found
like frequent item sets (Agrawal and Srikant, 1994): a phrase can be frequent only if its prefix and
its suffix are, so that few other phrases are ever counted.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

LEAST_SHARE: Final = 0.2
"""The share of the captions in which a phrase must occur."""

_MOST_WORDS: Final = 8
_FEWEST: Final = 3
_SHOWN: Final = 12
_NEARLY_ALL: Final = 0.8

_PART: Final = re.compile(r"[^.,;:!?()\[\]{}\"\n|/]+")
_WORD: Final = re.compile(r"\w+(?:['\u2019-]\w+)*")
_SMALL: Final = frozenset(
    "a an and are as at be by for from has in is it its of on or that the there this to was with".split()  # noqa: E501, SIM905
)
"""Stop words: a phrase must have another word as well."""

Phrase = tuple[str, ...]


@dataclass(frozen=True)
class SharedPhrase:
    """A phrase, and the number of captions that have it."""

    words: str
    captions: int
    share: float


def shared_phrases(
    captions: Mapping[str, int], least_share: float = LEAST_SHARE
) -> list[SharedPhrase]:
    """Return the phrases that many captions share, most frequent first.

    A phrase that occurs nearly always within a longer one in this list is left out.

    Args:
        captions: Texts, with the number of images that have each.
        least_share: The share of all captions that must have a phrase.
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
    """Yield the runs of words in a caption between punctuation."""
    for part in _PART.findall(caption.casefold()):
        if words := tuple(_WORD.findall(part)):
            yield words


def _runs(part: Phrase, often: set[str]) -> Iterator[Phrase]:
    """Yield the runs of two or more words that are all frequent."""
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
