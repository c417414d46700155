"""Finding all hashes that differ in few bits, checked against comparing all pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_toolkit.copies.near_hashes import near_hashes, near_pairs

WORDS = st.integers(0, 2**64 - 1)


def all_pairs(hashes: np.ndarray, most_bits: int) -> set[tuple[int, int]]:
    """Return the pairs that differ in at most so many bits, by comparing all."""
    near = np.bitwise_count(hashes[:, None] ^ hashes) <= most_bits
    return {(a, b) for a, b in zip(*np.nonzero(near), strict=True) if a < b}


@given(st.sets(WORDS, max_size=20), st.lists(st.integers(0, 63), max_size=60), st.integers(0, 10))
@settings(max_examples=200, deadline=None)
def test_none_is_missed(words, flips, most_bits):
    """Whatever bits differ, in whatever blocks."""
    found = set(words)
    for word, bit in zip(sorted(words) * 3, flips, strict=False):
        found.add(word ^ (1 << bit))
    hashes = np.array(sorted(found), np.uint64)
    pairs = near_pairs(hashes, most_bits)
    assert {tuple(pair) for pair in pairs.tolist()} == all_pairs(hashes, most_bits)
    assert len(pairs) == len({tuple(pair) for pair in pairs.tolist()})


@pytest.mark.parametrize("most_bits", [1, 4, 6, 10])
def test_many_hashes(most_bits):
    """The blocks are chosen by how many hashes there are; what is found is not."""
    draw = np.random.default_rng(0)
    hashes = draw.integers(0, 2**64, 3000, dtype=np.uint64)
    hashes[2000:] = hashes[:1000]
    for _ in range(most_bits):  # a bit that is drawn twice is as it was
        hashes[2000:] ^= np.uint64(1) << draw.integers(0, 64, 1000, dtype=np.uint64)
    pairs = near_pairs(hashes, most_bits)
    assert {tuple(pair) for pair in pairs.tolist()} == all_pairs(hashes, most_bits)
    assert len(pairs) > 900


def test_a_thousand_copies_of_one_are_one_key():
    """Rows with the same hash share a key, so their number does not count twice over."""
    hashes = np.full((1000, 1), 0xF0F0F0F0F0F0F0F0, np.uint64)
    likeness = near_hashes(hashes, np.ones(hashes.shape, bool), 6)
    assert (likeness.key_count, len(likeness.pairs)) == (1, 0)
    assert likeness.like(7).tolist() == list(range(1000))


def test_several_hashes_of_a_row():
    """Any of one's may be near to any of another's; one that a row has twice counts once."""
    one, other = 0xF0F0F0F0F0F0F0F0, 0x00FF00FF00FF00FF
    hashes = np.array([[one, other], [other ^ 1, 0x3333333333333333], [one, one]], np.uint64)
    likeness = near_hashes(hashes, np.ones(hashes.shape, bool), 2)
    assert set(likeness.like(0).tolist()) == {0, 1, 2}
    assert set(likeness.like(1).tolist()) == {0, 1}
    lone = near_hashes(hashes[2:], np.ones((1, 2), bool), 2)
    assert not lone.linked.any()
