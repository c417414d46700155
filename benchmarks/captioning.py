"""Measures captioning against Fondant 0.12.1 and the plain transformers loop.

    python benchmarks/captioning.py --fondant DIR [--images 48] [--json]

Full-size BLIP base with random weights, greedy decoding, exactly 20 new tokens, photo-like JPEGs of
0.54 megapixels, from Parquet to Parquet. Loading the model is not timed. `alone` is our model
without the feed, on preprocessed images. `matrix_share` is our captioning's share of the machine's
measured matrix multiplication rate in the same precision.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.full_models import make_blip
from benchmarks.models import (
    make_photos,
    measure_all,
    summary,
    table,
)

GFLOP = 132.7
"""Per image: 111 for the vision tower, 22 for 20 tokens and the keys of the cross-attention."""

PEERS = ("ours", "alone", "ours_int8", "alone_int8", "transformers", "fondant")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fondant", type=Path, help="a checkout of Fondant 0.12.1")
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=2, help="each peer's best one counts")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model = make_blip(folder / "model")
        make_photos(folder / "data", options.images)
        measured = measure_all(
            PEERS, "caption", folder / "data", model, options.fondant, options.rounds
        )
    table(measured, f"BLIP base, 20 tokens, greedy, {torch.get_num_threads()} cores")
    if options.json:
        print(json.dumps(summary(measured, GFLOP)))


if __name__ == "__main__":
    main()
