"""Rows to fine-tune a tiny Stable Diffusion on, and what a training wrote."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from fondant_spec.testing import Result, run_component

FINE_TUNE = Path(__file__).parents[1] / "components" / "fine_tune"
SETTINGS = {
    "resolution": 32,
    "center_crop": True,
    "train_batch_size": 4,
    "max_train_steps": 4,
    "learning_rate": 1e-2,
    "device": "cpu",
}
"""Of a training of a moment."""


def picture(number: int, size: tuple[int, int] = (48, 40), kind: str = "PNG") -> bytes:
    """Return an image of noise."""
    width, height = size
    pixels = np.random.default_rng(number).integers(0, 255, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def training_rows(count: int = 10, held_out: int = 2, **columns: Sequence[Any]) -> pa.Table:
    """Return rows with images and captions, the last few of which are for validation."""
    split = ["train"] * (count - held_out) + ["validation"] * held_out
    given: dict[str, Any] = {
        "image": [picture(number) for number in range(count)],
        "caption": [f"a photo of a red cat {number}" for number in range(count)],
        "split": split,
    }
    types = {
        "image": pa.binary(),
        "caption": pa.string(),
        "split": pa.string(),
        "group_id": pa.string(),
        "class_prompt": pa.string(),
        "more_captions": pa.list_(pa.string()),
        "repeats": pa.int32(),
    }
    return pa.table(
        {name: pa.array(values, types[name]) for name, values in (given | columns).items()}
    )


def tuned(model: Path, rows: pa.Table, tmp_path: Path, **arguments: Any) -> Result:
    """Train for a moment, and return what came of it."""
    options = {"max_reject_share": "1"}
    asked = {"model_id": str(model), **SETTINGS, **arguments}
    return run_component(FINE_TUNE, rows, tmp_path, options=options, **asked)


def folder_of(result: Result) -> Path:
    """Return the folder that a training wrote."""
    return Path(result.manifest.artifacts[0]).parent


def told_of(result: Result) -> dict[str, Any]:
    """Return the content of a training's `training.json`."""
    told: dict[str, Any] = json.loads((folder_of(result) / "training.json").read_text())
    return told
