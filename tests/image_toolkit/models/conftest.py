"""Fixtures shared by the model tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from image_toolkit.models.runtime.preparation import probe_images
from tests.made_images import jpeg
from tests.tiny_models import make_model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function from a kind of model to a folder with a tiny one, made at most once."""
    base = tmp_path_factory.mktemp("tiny_models")

    def folder(kind: str) -> Path:
        made = base / kind
        return made if made.exists() else make_model(kind, made)

    return folder


@pytest.fixture(scope="session")
def photos() -> list[bytes]:
    """Return six smooth images as JPEG bytes."""
    return [jpeg(image) for image in probe_images(6)]
