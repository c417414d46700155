"""What the tests of this component share."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fondant_spec.testing import Result, run_component

COMPONENT = Path(__file__).parents[1]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return a function that loads a dataset through the argument vector; it never reaches out."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)

    def run(dataset: Path | str, **arguments: object) -> Result:
        fields = {name: arguments.pop(name) for name in ("produces",) if name in arguments}
        options = {"produces": json.dumps(fields.get("produces", {})), "max_reject_share": "1"}
        return run_component(
            COMPONENT,
            None,
            tmp_path / "step",
            options=options | {"cache": "false"},
            dataset_name=str(dataset),
            **arguments,
        )

    return run


@pytest.fixture(scope="session")
def photo() -> Callable[..., bytes]:
    """Return a function that makes an image file of noise, another one for each number."""

    def make(number: int = 0, kind: str = "JPEG", **options: object) -> bytes:
        pixels = np.random.default_rng(number).integers(0, 255, (12, 16, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, kind, **options)
        return file.getvalue()

    return make


@pytest.fixture
def fill(tmp_path, photo):
    """Return a function that writes images, and other files, into a folder."""

    def write(*names, **files):
        folder = tmp_path / "photos"
        for number, name in enumerate(names):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(photo(number))
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder

    return write
