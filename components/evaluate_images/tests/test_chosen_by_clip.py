"""A CLIP that has chosen the dataset is told of where it judges."""

from pathlib import Path

import pyarrow as pa

from fondant_spec.dataset.manifest import Field, Manifest
from fondant_spec.worker.component_code import load_module

same_clip = load_module(Path(__file__).parents[1], "chosen_by_clip").same_clip
OWN = {"model_id": "my/clip", "weights": "abc", "modality": "image"}


def made(folder: Path, **metadata: str) -> list[str]:
    """Return where the manifest of a dataset with such vectors lies."""
    location = f"{folder}/base/name/step/key/manifest.json"
    field = Field(
        "embedding", pa.list_(pa.float32()), f"{folder}/base/name/step/key/data", metadata
    )
    manifest = Manifest(
        "name", "step", "run", "key", location, field.location, {"embedding": field}
    )
    manifest.write()
    return [location]


def test_weights_are_compared(tmp_path):
    """Under whatever name they lie; what does not say its weights is not suspected."""
    (warning,) = same_clip(made(tmp_path, **OWN | {"model_id": "a copy", "modality": "text"}), OWN)
    assert warning.startswith("my/clip compares, and has chosen the dataset as well")
    assert not [*same_clip(made(tmp_path, **OWN | {"weights": "def"}), OWN)]
    assert not [*same_clip(made(tmp_path, modality="image"), OWN | {"weights": ""})]
    assert not [*same_clip([], OWN)]
