"""Trains alongside diffusers' own scripts, and compares the losses.

    python scripts/compare_with_diffusers.py --checkout ../diffusers

CHECKOUT is a diffusers repository of about the installed release: its scripts
`examples/text_to_image/train_text_to_image.py` and `train_text_to_image_lora.py` are run unchanged
on an export of export_dataset. fine_tune trains on the same rows, from the same tiny model (the
demo's) and with the same settings. Both draw random noise in their own order, so no two losses are
equal: each trains with several seeds, and the difference of the means must be within the variation
between seeds. The trained models are then compared with the same noise on unseen images. --python
is an environment that also has torchvision, which the scripts need.
"""

import argparse
import io
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from PIL import Image
from tensorboard.backend.event_processing import event_accumulator  # type: ignore[import-untyped]

import demo
from fondant_spec.testing import run_component
from image_toolkit.models.runtime.torch_setup import prepare_torch

ROOT: Final = Path(__file__).parents[1]
COMPONENTS: Final = ROOT / "components"
SCRIPTS: Final = {
    "full": "examples/text_to_image/train_text_to_image.py",
    "lora": "examples/text_to_image/train_text_to_image_lora.py",
}
UNCHANGED: Final = """
import runpy, sys
import torch
from image_toolkit.models.runtime.torch_setup import prepare_torch
prepare_torch()
torch.set_num_threads(1)
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a script unchanged, with a torchvision that can be imported beside any build of torch."""

SETTINGS: Final[dict[str, Any]] = {
    "resolution": 64,
    "train_batch_size": 4,
    "gradient_accumulation_steps": 2,
    "max_grad_norm": 1.0,
    "lr_scheduler": "cosine",
    "lr_warmup_steps": 5,
    "mixed_precision": "no",
}
OF_METHOD: Final[dict[str, dict[str, Any]]] = {
    "full": {"learning_rate": 1e-3, "snr_gamma": 5.0},
    "lora": {"learning_rate": 1e-2, "rank": 4, "noise_offset": 0.05},
}
IMAGES, HELD_OUT, SIDE = 32, 8, 64
SECONDS: Final = 600
MOST_ERRORS: Final = 3.0
"""Allowed difference of means, in standard errors: chance exceeds it once in 370 times."""


_SHOWN: Final = "train_loss"
"""What the scripts call the loss of a step."""


class Losses(NamedTuple):
    """The mean loss of all steps, and the loss on held-out images afterwards."""

    steps: float
    held_out: float


@dataclass(frozen=True)
class Comparison:
    """The result for a method: the losses of fine_tune and of the script, for each seed.

    `before` is the loss of the untrained model on the held-out images.
    """

    method: str
    before: float
    ours: list[Losses]
    theirs: list[Losses]

    def lines(self) -> list[str]:
        """Return the lines of a table."""
        return [
            f"{self.method:6} {name:12} {_told(ours)} {_told(theirs)} {_errors(ours, theirs):>9.2f}"
            for name, ours, theirs in self._figures()
        ] + [f"{self.method:6} {'(untrained)':12} {self.before:>9.4f}"]

    def differs(self) -> bool:
        """Return whether any two means differ by more than chance."""
        return any(_errors(ours, theirs) > MOST_ERRORS for _, ours, theirs in self._figures())

    def _figures(self) -> Iterator[tuple[str, list[float], list[float]]]:
        for name in Losses._fields:
            both = self.ours, self.theirs
            ours, theirs = ([getattr(one, name) for one in some] for some in both)
            yield name, ours, theirs


def main(argv: Sequence[str] | None = None) -> int:
    """Compare both methods; return 1 if any figure differs by more than chance."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkout", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=demo.DIFFUSION_FOLDER, help="to train")
    parser.add_argument("--python", default=sys.executable, help="of an environment with diffusers")
    parser.add_argument("--seeds", type=int, default=4, help="trainings of each (default: 4)")
    parser.add_argument("--steps", type=int, default=60, help="of each (default: 60)")
    parser.add_argument("--method", choices=[*SCRIPTS], action="append", help="default: both")
    options = parser.parse_args(argv)
    for script in SCRIPTS.values():
        if not (options.checkout / script).is_file():
            parser.error(f"{options.checkout}: has no {script}.")
    prepare_torch()
    found = [_compared(method, options) for method in options.method or SCRIPTS]
    print(f"\n{'':6} {'':12} {'fine_tune':>18} {'diffusers':>18} {'errors':>9}")
    for comparison in found:
        print("\n".join(comparison.lines()))
    return int(any(comparison.differs() for comparison in found))


def _compared(method: str, options: argparse.Namespace) -> Comparison:
    with tempfile.TemporaryDirectory() as temporary:
        folder, rows = Path(temporary), _rows()
        model, export = options.model, folder / "export"
        comparison = Comparison(method, _held_out_loss(model, rows, folder), [], [])
        run_component(COMPONENTS / "export_dataset", rows, folder, output_path=str(export))
        for seed in range(options.seeds):
            asked = SETTINGS | OF_METHOD[method] | {"max_train_steps": options.steps, "seed": seed}
            ours, told = _tuned(model, rows, folder, method=method, **asked)
            theirs = folder / f"seed-{seed}"
            _train(options, SCRIPTS[method], model, export, theirs, asked)
            steps = statistics.fmean(one["loss"] for one in told["train_loss"]), _mean_shown(theirs)
            for written, mean, some in zip(
                (ours, theirs), steps, (comparison.ours, comparison.theirs), strict=True
            ):
                whole = written
                if method == "lora":
                    whole = _with_lora(model, written, folder / "whole")
                some.append(Losses(mean, _held_out_loss(whole, rows, folder)))
            print(f"{method} {seed}: {comparison.ours[-1]}, {comparison.theirs[-1]}", flush=True)
    return comparison


def _held_out_loss(model: Path, rows: pa.Table, folder: Path) -> float:
    """Return a model's loss on the held-out images, with the same noise for every model."""
    _, told = _tuned(model, rows, folder, **SETTINGS, max_train_steps=1)
    return float(told["validation_loss"][0]["loss"])


def _tuned(model: Path, rows: pa.Table, folder: Path, **asked: Any) -> tuple[Path, Any]:
    """Train with fine_tune; return its folder, and the content of `training.json`."""
    asked |= {"model_id": str(model), "center_crop": True, "random_flip": True, "device": "cpu"}
    result = run_component(COMPONENTS / "fine_tune", rows, folder, **asked)
    written = Path(result.manifest.artifacts[0]).parent
    return written, json.loads((written / "training.json").read_text(encoding="utf-8"))


def _train(
    options: argparse.Namespace,
    script: str,
    model: Path,
    export: Path,
    output: Path,
    asked: dict[str, Any],
) -> None:
    """Run a script of diffusers."""
    words = [f"--{name}={value}" for name, value in asked.items()]
    command = [
        *(options.python, "-c", UNCHANGED, str((options.checkout / script).resolve())),
        f"--pretrained_model_name_or_path={model}",
        f"--train_data_dir={export / 'train'}",
        f"--output_dir={output}",
        *("--center_crop", "--random_flip", "--report_to=tensorboard", "--caption_column=text"),
        *words,
    ]
    places = {"HF_HOME": str(export.parent / "hub"), "PYTHONPATH": str(ROOT)}
    environment = os.environ | places | {"HF_HUB_OFFLINE": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(  # noqa: S603 - what the caller names
        command,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{script} ended with {done.returncode}:\n{done.stderr[-3000:]}")


def _with_lora(model: Path, folder: Path, target: Path) -> Path:
    """Write a pipeline merged with a folder's LoRA, and return its path."""
    from diffusers import StableDiffusionPipeline  # noqa: PLC0415 - after torch was prepared

    pipeline = StableDiffusionPipeline.from_pretrained(model, safety_checker=None)
    pipeline.load_lora_weights(folder, weight_name="pytorch_lora_weights.safetensors")
    pipeline.fuse_lora()
    pipeline.unload_lora_weights()
    pipeline.save_pretrained(target)
    return target


def _mean_shown(output: Path) -> float:
    """Return the mean of the losses that a script wrote for TensorBoard."""
    for file in output.glob("logs/*/events*"):
        events = event_accumulator.EventAccumulator(str(file))
        events.Reload()
        if _SHOWN in events.Tags()["scalars"]:
            return statistics.fmean(event.value for event in events.Scalars(_SHOWN))
    return math.nan


def _rows() -> pa.Table:
    """Return images of one colour with some noise, captioned with the colour."""
    colours = {"red": (200, 40, 40), "blue": (40, 40, 200), "green": (40, 160, 40)}
    images, captions = [], []
    for number in range(IMAGES + HELD_OUT):
        name = [*colours][number % len(colours)]
        noise = np.random.default_rng(number).normal(0, 30, (SIDE, SIDE + number % 8, 3))
        pixels = np.clip(np.array(colours[name]) + noise, 0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        images.append(file.getvalue())
        captions.append(f"a photo of a {name} cat")
    split = ["train"] * IMAGES + ["validation"] * HELD_OUT
    types = [pa.binary(), pa.string(), pa.string()]
    columns = zip((images, captions, split), types, strict=True)
    return pa.table([pa.array(*one) for one in columns], names=["image", "caption", "split"])


def _told(values: list[float]) -> str:
    return f"{statistics.fmean(values):>9.4f} ± {statistics.stdev(values):.4f}"


def _errors(ours: list[float], theirs: list[float]) -> float:
    """Return the difference of two means, in standard errors."""
    spread = math.sqrt(
        statistics.variance(ours) / len(ours) + statistics.variance(theirs) / len(theirs)
    )
    return abs(statistics.fmean(ours) - statistics.fmean(theirs)) / spread


if __name__ == "__main__":
    sys.exit(main())
