"""The revision of a model folder is stable: results are identified by it."""

import json
from pathlib import Path

import pytest

from image_toolkit.diffusion.pipeline_files import find_pipeline
from image_toolkit.models.runtime.hub import find_model
from image_toolkit.models.runtime.hub_files import find_files


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return a folder that is a model, and a pipeline as well."""
    for folder in (tmp_path, tmp_path / "unet"):
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text('{"model_type": "clip"}')
        (folder / "model.safetensors").write_bytes(b"weights")
        (folder / "other.bin").write_bytes(b"none of it")
    (tmp_path / "vocab.txt").write_text("a\n")
    return tmp_path


def test_a_model(model: Path) -> None:
    """Files that are loaded count, in the order of their names."""
    assert find_model(str(model)).revision == "sha256:bc8c2b83fffb9949"


def test_some_files(model: Path) -> None:
    """They count in the order in which they are asked for."""
    found = find_files(str(model), ("vocab.txt", "unet/config.json"))
    assert found.revision == "sha256:37521b0ad6a99665"
    assert find_files(str(model), ("unet/config.json", "vocab.txt")).revision != found.revision


def test_large_files_are_read_once(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that several things need is not read through for each of them."""
    found = find_files(str(model), ["model.safetensors"])
    monkeypatch.setattr(Path, "open", None)
    assert find_files(str(model), ["model.safetensors"]) == found


def test_a_pipeline(model: Path) -> None:
    """Its index counts, and what is loaded of its parts."""
    index = {"unet": ["diffusers", "UNet2DConditionModel"]}
    (model / "model_index.json").write_text(json.dumps(index))
    assert find_pipeline(str(model)).revision == "sha256:8cbac0011163c6ae"
