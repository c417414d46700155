"""Finding near vectors, checked against comparing all pairs."""

import numpy as np
import pytest

from fondant_spec.errors import InvalidArgumentError
from image_toolkit.copies import near_vectors as module
from image_toolkit.copies.near_vectors import near_vectors


def made(rows: int, dimension: int, copies: int, cosine: float) -> np.ndarray:
    """Return unit vectors in topics, the last of them near to the first."""
    draw = np.random.default_rng(0)
    topics = draw.standard_normal((50, dimension))
    vectors = topics[draw.integers(50, size=rows)] + draw.standard_normal((rows, dimension))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    noise = draw.standard_normal((copies, dimension))
    noise -= (noise * vectors[:copies]).sum(axis=1, keepdims=True) * vectors[:copies]
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    vectors[-copies:] = cosine * vectors[:copies] + np.sqrt(1 - cosine**2) * noise
    return vectors.astype(np.float16)


@pytest.mark.parametrize("dimension", [16, 256])
def test_few_vectors_are_compared_whole(dimension):
    """None is missed and none is made up, in however many dimensions they are compared."""
    vectors = made(1500, dimension, 100, 0.97)
    wide = vectors.astype(np.float32)
    near = np.triu(wide @ wide.T >= 0.96, 1)
    found = near_vectors(vectors, np.ones(len(vectors), bool), 0.96).pairs
    assert {tuple(pair) for pair in found.tolist()} == set(zip(*np.nonzero(near), strict=True))


def test_many_vectors_are_searched_by_cells(monkeypatch):
    """Of planted copies 99 in 100 are found, and nothing else."""
    monkeypatch.setattr(module, "_SEARCHED_WHOLE", 1000)
    vectors = made(8000, 128, 500, 0.97)
    found = near_vectors(vectors, np.ones(len(vectors), bool), 0.96).pairs
    right = {(n, 7500 + n) for n in range(500)}
    assert len(right & {tuple(pair) for pair in found.tolist()}) >= 495
    assert len(found) <= 505


def test_vectors_that_are_equal_or_not_known():
    """Equal ones share a key; one that is not known has none, whatever is in its place."""
    vectors = np.tile(np.array([[0.6, 0.8]], np.float16), (4, 1))
    likeness = near_vectors(vectors, np.array([True, True, False, True]), 0.9)
    assert likeness.keys[:, 0].tolist() == [0, 0, -1, 0]
    assert near_vectors(vectors, np.zeros(4, bool), 0.9).keys[:, 0].tolist() == [-1] * 4


def test_more_pairs_than_copies_can_make(monkeypatch):
    """A threshold that takes everything for a copy is refused, before memory runs out."""
    monkeypatch.setattr(module, "MOST_PAIRS", 100)
    with pytest.raises(InvalidArgumentError, match="set least_cosine higher"):
        near_vectors(made(100, 16, 5, 0.9), np.ones(100, bool), 0.01)
