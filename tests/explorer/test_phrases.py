"""Phrases that captions share, checked against counting all of them."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.report.phrases import shared_phrases


def told(captions, least_share=0.2):
    """Return the phrases with the captions that have them."""
    return {one.words: one.captions for one in shared_phrases(captions, least_share)}


@pytest.mark.parametrize(
    ("captions", "wanted"),
    [
        (
            {"a photo of a cat": 3, "a photo of a dog": 3, "sunset": 4},
            {"a photo of a": 6, "a photo of a cat": 3, "a photo of a dog": 3, "sunset": 4},
        ),
        (
            {"1girl, solo, red hair": 5, "1girl, red hair": 3, "solo": 2},
            {"1girl": 8, "red hair": 8, "solo": 7},
        ),
        (
            {"Old bridge. By a river": 4, "the OLD  bridge": 4},
            {"old bridge": 8, "by a river": 4, "the old bridge": 4},
        ),
        ({"it is in the": 9, "of the": 3}, {}),
        ({"one two": 2, "other": 1}, {}),
        ({}, {}),
    ],
)
def test_phrases(captions, wanted):
    """Words in a row, or alone between commas; not those of small words, nor of a few captions."""
    assert told(captions) == wanted


words = st.lists(st.sampled_from(["cat", "dog", "sky", "red"]), min_size=1, max_size=9).map(
    " ".join
)


@given(st.dictionaries(words, st.integers(1, 3), min_size=1, max_size=12))
def test_none_is_missed_and_none_is_miscounted(captions):
    """The most frequent phrase of those of two words to eight is there, with its number."""
    counted = Counter()
    for text, count in captions.items():
        own = text.split()
        for phrase in {
            " ".join(own[i : i + n]) for n in range(2, 9) for i in range(len(own) - n + 1)
        }:
            counted[phrase] += count
    found = {words: n for words, n in told(captions, 0.1).items() if " " in words}
    assert all(counted[words] == n for words, n in found.items())
    least = max(0.1 * sum(captions.values()), 3)
    often = {words: n for words, n in counted.items() if n >= least}
    assert bool(often) == bool(found)
    if often and len(found) < 12:
        assert max(found.values()) >= 0.8 * max(often.values())
