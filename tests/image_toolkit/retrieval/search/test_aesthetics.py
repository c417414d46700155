"""Aesthetic scores and weights, as in clip-retrieval."""

from pathlib import Path

import numpy as np
import pytest

from fondant_spec.errors import InputDataError, InvalidArgumentError
from image_toolkit.retrieval.search.aesthetics import Aesthetics
from image_toolkit.unit_vectors import unit_vectors


def test_arithmetic(tmp_path: Path) -> None:
    """The query becomes query + weight x rating, divided by its length."""
    query = np.array([[0.6, 0.8]], np.float32)
    np.save(tmp_path / "rating9.npy", np.array([[1.0, -0.5]], np.float16))

    moved = Aesthetics(9, 0.5, tmp_path).apply(query)

    expected = np.array([0.6 + 0.5 * 1.0, 0.8 - 0.5 * 0.5])
    assert np.allclose(moved, expected / np.linalg.norm(expected), atol=1e-6)
    assert moved.dtype == np.float32


def test_no_score_changes_nothing(tmp_path: Path) -> None:
    """Without a score the weight and the folder do not matter."""
    query = np.array([[0.6, 0.8]], np.float32)

    assert Aesthetics(None, 0.5, tmp_path).apply(query) is query


def test_ratings_that_cannot_be_used(tmp_path: Path) -> None:
    """A missing rating, and one of another model, are errors."""
    query = np.array([[0.6, 0.8]], np.float32)
    np.save(tmp_path / "rating1.npy", np.ones(3))

    with pytest.raises(InputDataError, match=r"aesthetic_embeddings: cannot read .*rating9.npy"):
        Aesthetics(9, 0.5, tmp_path).apply(query)
    with pytest.raises(InputDataError, match="has 3 dimensions, but the queries have 2"):
        Aesthetics(1, 0.5, tmp_path).apply(query)
    with pytest.raises(InvalidArgumentError, match="needs `aesthetic_embeddings` too"):
        Aesthetics(9, 0.5).check_folder()


def test_zeros_have_no_direction() -> None:
    """A vector of zeros stays as it is, rather than becoming NaN."""
    assert unit_vectors(np.array([[0, 0], [3, 4]], np.float32)).tolist() == [
        [0, 0],
        pytest.approx([0.6, 0.8]),
    ]
