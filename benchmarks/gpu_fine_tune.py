"""Measures the memory and speed of fine_tune on this machine's GPU, for full-size models.

    python -m benchmarks.gpu_fine_tune sd15 sdxl

Weights are random, which needs as much memory and time as trained ones. `sd15` trains a LoRA at 512
pixels in batches of 4, `sdxl` one at 1024 pixels in batches of 1, both with bf16 and cached
latents; with the suffix `full`, the whole UNet is trained, with gradient checkpointing. `tiny`
checks the script itself, also on a CPU.
"""

import argparse
import io
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from benchmarks.diffusion_sizes import make_sd15, make_sdxl
from fondant_spec.testing import run_component
from image_toolkit.models.runtime.torch_setup import prepare_torch
from tests.tiny_diffusion import make_stable_diffusion

FINE_TUNE: Final = Path(__file__).parents[1] / "components" / "fine_tune"
FULL: Final = {"method": "full", "gradient_checkpointing": True, "learning_rate": 1e-5}


class Case(NamedTuple):
    """A model, the side of its images, and the batch size."""

    make: Callable[[Path], Path]
    side: int
    batch: int


CASES: Final = {
    "tiny": Case(make_stable_diffusion, 32, 4),
    "sd15": Case(make_sd15, 512, 4),
    "sdxl": Case(make_sdxl, 1024, 1),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Train each model for some steps, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [f"{name}{kind}" for name in CASES for kind in ("", "full")]
    parser.add_argument("cases", nargs="+", choices=names)
    parser.add_argument("--steps", type=int, default=30)
    options = parser.parse_args(argv)
    prepare_torch()
    print(f"{'model':10} {'method':7} {'pixels':>7} {'batch':>6} {'images/s':>9} {'peak GB':>8}")
    for name in options.cases:
        case = CASES[name.removesuffix("full")]
        told = _trained(case, options.steps, FULL if name.endswith("full") else {})
        print(
            f"{name:10} {told['method']:7} {case.side:>7} {told['batch_size_in_memory']:>6} "
            f"{told['images_per_second']:>9.2f} {told['peak_memory_bytes'] / 1e9:>8.1f}  "
            f"{told['device']}",
            flush=True,
        )
    return 0


def _trained(case: Case, steps: int, more: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        asked: dict[str, Any] = {
            "model_id": str(case.make(folder / "model")),
            "resolution": case.side,
            "center_crop": True,
            "train_batch_size": case.batch,
            "max_train_steps": steps,
            "checkpointing_steps": 10**6,
        }
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        result = run_component(FINE_TUNE, _rows(case.side), folder, **asked, **more)
        written = Path(result.manifest.artifacts[0]).parent / "training.json"
        told: dict[str, Any] = json.loads(written.read_text(encoding="utf-8"))
        return told


def _rows(side: int) -> pa.Table:
    images = []
    for number in range(16):
        small = np.random.default_rng(number).integers(0, 255, (16, 16, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(small).resize((side, side)).save(file, "JPEG")
        images.append(file.getvalue())
    columns = {"image": pa.array(images, pa.binary()), "caption": ["a pattern"] * len(images)}
    return pa.table(columns)


if __name__ == "__main__":
    sys.exit(main())
