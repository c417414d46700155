"""How far bf16 and int8 stray from fp32 with trained weights: those of the demo's small models.

    python benchmarks/precision.py [--images 400]

On crops of photographs that neither model was trained on: cosines of the vectors, how many of the
ten nearest neighbours stay the same, and how many captions. Large models have more outliers.
"""

import argparse
import io
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from demo.tiny_models import BLIP_FOLDER, CLIP_FOLDER
from demo.training_data import samples
from image_toolkit.models.captioning.generation import Generation
from image_toolkit.models.captioning.local_captioner import LocalCaptioner
from image_toolkit.models.embedding.embedders import image_encoder
from image_toolkit.models.runtime.batching import BatchSize
from image_toolkit.models.runtime.device import EXACT, place
from image_toolkit.models.runtime.hub import find_model
from image_toolkit.models.runtime.model_runner import EncoderRunner

CPU = torch.device("cpu")
SEED, NEIGHBOURS = 5, 10


def vectors(cells: list[bytes], precision: str) -> np.ndarray:
    """Return the unit vectors of images."""
    encoder = image_encoder(str(CLIP_FOLDER))
    runner = EncoderRunner(encoder, place(CPU, precision), "torch", BatchSize(32))
    return np.stack([v for v in runner([encoder.prepare(cell) for cell in cells]) if v is not None])


def captions(cells: list[bytes], precision: str) -> list[str]:
    """Return greedy captions of images."""
    captioner = LocalCaptioner(find_model(str(BLIP_FOLDER)), place(CPU, precision), None)
    items = [captioner.prepare(cell) for cell in cells]
    return [text for (text,) in captioner.captions(items, [""] * len(items), Generation())]


def nearest(found: np.ndarray) -> np.ndarray:
    """Return the numbers of each vector's nearest others: (vectors, NEIGHBOURS)."""
    similarity = found @ found.T
    np.fill_diagonal(similarity, -1)
    return np.argsort(-similarity, axis=1)[:, :NEIGHBOURS]


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=400)
    cells = []
    for sample in samples("collection", parser.parse_args().images, SEED):
        file = io.BytesIO()
        sample.image.save(file, "JPEG", quality=92)
        cells.append(file.getvalue())
    exact, said = vectors(cells, EXACT), captions(cells, EXACT)
    near = nearest(exact)
    print(f"{'':<6}{'least cosine':>14}{'mean cosine':>13}{'same neighbours':>17}{'captions':>10}")
    for precision in ("bf16", "int8"):
        found = vectors(cells, precision)
        cosines = (found * exact).sum(1)
        pairs = zip(nearest(found), near, strict=True)
        kept = np.mean([len(set(one) & set(other)) / NEIGHBOURS for one, other in pairs])
        same = np.mean(np.array(captions(cells, precision)) == np.array(said))
        print(
            f"{precision:<6}{cosines.min():>14.5f}{cosines.mean():>13.5f}{kept:>17.1%}{same:>10.1%}"
        )


if __name__ == "__main__":
    main()
