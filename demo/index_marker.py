"""Whether the collection's index exists and is up to date; needs no index or model libraries."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from demo.collection import MARKER, recipe_digest

FOLDER = "index"
RECIPE = ("index.py",)


def marker_of(root: Path) -> Path:
    """Return the path of the index's marker, which is written last."""
    return root / FOLDER / "index.json"


def is_current(root: Path, clip: Path) -> bool:
    """Return whether there is an index of this collection, made with this CLIP model."""
    marker = marker_of(root)
    return marker.is_file() and bool(json.loads(marker.read_text())["config"] == wanted(root, clip))


def wanted(root: Path, clip: Path) -> dict[str, Any]:
    """Return what the index must be made from: the collection in `root`, and a model folder."""
    collection = json.loads((root / MARKER).read_text())
    return {
        "collection": collection["sha256"],
        "urls": collection["config"]["port"],
        "clip": str(clip.resolve()),
        "weights": model_digest(clip),
        "recipe": recipe_digest(RECIPE),
    }


def model_digest(folder: Path) -> str:
    """Return the SHA-256 of a model's weights."""
    return sha256((folder / "model.safetensors").read_bytes()).hexdigest()
