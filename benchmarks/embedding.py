"""Measures image embedding against Fondant 0.12.1, clip-retrieval and the plain transformers loop.

    python benchmarks/embedding.py --fondant DIR [--models B/32,L/14] [--images 256] [--json]

Full-size models with random weights, photo-like JPEGs of 0.54 megapixels, from Parquet to Parquet
(clip-retrieval: from files to .npy), each peer in its own environment with its own pins. Loading
the model is not timed. `alone` is our model without the feed, on preprocessed images.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.full_models import make_clip
from benchmarks.models import (
    make_photos,
    measure_all,
    summary,
    table,
)
from image_toolkit.models.embedding.embedders import image_encoder
from image_toolkit.models.runtime.shortcuts import only_first_token

PEERS = (
    "ours",
    "alone",
    "ours_int8",
    "alone_int8",
    "transformers",
    "clip_retrieval",
    "fondant",
)


def gflop_of_tower(model: Path) -> float:
    """Return the GFLOP of our image tower per image, as counted by PyTorch."""
    encoder = image_encoder(str(model))
    only_first_token(encoder.tower)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        encoder.tower(**encoder.collate(encoder.probes()[:1]))
    return float(counter.get_total_flops()) / 1e9


def run(name: str, images: int, checkout: Path | None, rounds: int) -> dict[str, object]:
    """Measure one model."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model = make_clip(folder / "model", int(name.split("/")[1]))
        make_photos(folder / "data", images)
        measured = measure_all(PEERS, "embed", folder / "data", model, checkout, rounds)
        table(measured, f"ViT-{name}, {torch.get_num_threads()} cores")
        return summary(measured, gflop_of_tower(model))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fondant", type=Path, help="a checkout of Fondant 0.12.1")
    parser.add_argument("--models", default="B/32,L/14")
    parser.add_argument("--images", type=int, default=256, help="for B/32; an eighth for L/14")
    parser.add_argument("--rounds", type=int, default=3, help="each peer's best one counts")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    results = {
        name: run(
            name,
            options.images if name == "B/32" else options.images // 8,
            options.fondant,
            options.rounds,
        )
        for name in options.models.split(",")
    }
    if options.json:
        first = next(iter(results.values()))
        print(json.dumps({**first, "models": results}))


if __name__ == "__main__":
    main()
