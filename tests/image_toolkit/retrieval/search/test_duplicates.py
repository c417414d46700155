"""Which hits show the same image."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_toolkit.retrieval.search.duplicates import near_duplicates, url_key


def on_circle(*degrees: float) -> np.ndarray:
    """Unit vectors at these angles."""
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


@pytest.mark.parametrize(
    ("vectors", "repeats"),
    [
        (on_circle(0, 90, 180), [False, False, False]),
        (on_circle(0, 1, 90), [False, True, False]),
        (on_circle(90, 0, 1, 91), [False, False, True, True]),
        (on_circle(0, 30, 15), [False, True, True]),  # 0 and 30 are linked through 15
        (3 * on_circle(0, 1), [False, True]),
        (np.empty((0, 2), np.float32), []),
        (np.zeros((2, 2), np.float32), [False, False]),
    ],
)
def test_linked_vectors_count_once(vectors: np.ndarray, repeats: list[bool]) -> None:
    """Of vectors that are linked, directly or through others, only the first one stays."""
    assert near_duplicates(vectors, 0.94).tolist() == repeats


@given(st.lists(st.floats(0, 360), min_size=1, max_size=30))
def test_those_left_are_unlike_and_the_others_are_not(degrees: list[float]) -> None:
    """The first of all stays, those that stay are no neighbours, and each other one has one."""
    vectors = on_circle(*degrees)
    cosines = vectors @ vectors.T
    repeats = near_duplicates(vectors, 0.94)
    left = np.flatnonzero(~repeats)

    assert not repeats[0]
    assert (cosines[np.ix_(left, left)][~np.eye(len(left), dtype=bool)] <= 0.94 + 1e-6).all()
    assert all((np.delete(cosines[i], i) > 0.94 - 1e-6).any() for i in np.flatnonzero(repeats))


@pytest.mark.parametrize(
    ("url", "same_as"),
    [
        ("http://a.example/x.jpg", "http://a.example/x.jpg"),
        ("HTTP://A.Example:80/x.jpg", "http://a.example/x.jpg"),
        ("https://a.example:443/x.jpg#top", "https://a.example/x.jpg"),
        (" http://a.example/x.jpg ", "http://a.example/x.jpg"),
        ("http://a.example", "http://a.example/"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x"),
        ("http://a.example:bad/x", "http://a.example:bad/x"),
        ("http://a.example./x", "http://a.example/x"),
        ("http://MÜNCHEN.example/ü", "http://xn--mnchen-3ya.example/ü"),
        ("http://-odd-.example/x#top", "http://-odd-.example/x"),
    ],
)
def test_equal_addresses_have_one_key(url: str, same_as: str) -> None:
    """Case of scheme and host, default ports and fragments do not make another address."""
    assert url_key(url) == same_as


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://a.example/x.jpg", "http://a.example/X.jpg"),
        ("http://a.example/x.jpg", "https://a.example/x.jpg"),
        ("http://a.example/x.jpg?w=1", "http://a.example/x.jpg?w=2"),
        ("http://a.example:8080/x.jpg", "http://a.example/x.jpg"),
    ],
)
def test_different_addresses_stay_apart(one: str, other: str) -> None:
    """Path, query, scheme and port may lead to another image."""
    assert url_key(one) != url_key(other)
