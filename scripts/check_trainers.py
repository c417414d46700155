"""Reads exports with the trainers' own code, and prints a table of what each of them found.

    python scripts/check_trainers.py --checkout ../sd-scripts --checkout ../SimpleTuner

Each CHECKOUT is a trainer's repository, recognised by its files; --python is the environment that
the trainer was installed in, for OneTrainer with its package mgds. The export is made here, of
small images with captions that are easy to get wrong. The counts, splits and captions that come
back must be those that went in, and the options of the README's commands the trainer's own.
"""

import argparse
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from PIL import Image

from fondant_spec.testing import run_component

ROOT: Final = Path(__file__).parents[1]
READERS: Final = Path(__file__).parent / "trainer_readers"
SECONDS: Final = 600
KNOWN_BY: Final = {
    "kohya": "library/config_util.py",
    "musubi-tuner": "src/musubi_tuner/dataset/config_utils.py",
    "simpletuner": "simpletuner/helpers/metadata/backends/parquet.py",
    "onetrainer": "modules/util/config/ConceptConfig.py",
    "everydream2": "data/resolver.py",
}
"""A file that only this trainer's repository has, by the name of its layout."""
TRAINS_ALONE: Final = ("musubi-tuner",)
"""Trainers that have no validation split."""
PAIRS: Final = 21
ONE_LINE: Final = ("kohya", "onetrainer")
"""Trainers that take a line of a text for a caption."""
LAUNCHER: Final = "--num_cpu_threads_per_process"
"""An option of accelerate, not of the trainer."""
CAPTIONS: Final = (
    "a cat, a cat, on a mat",
    'a "quoted" dog: #1 of {many|few}, it\'s',
    "  two\nlines  ",
    "café 猫 \U0001f431 مرحبا",
    "yes",
    "1.0",
    "long " * 400,
)

Pairs = Mapping[tuple[str, str], str]


@dataclass(frozen=True)
class Finding:
    """What came of a trainer: a short word, and how many pairs of how many were as they should."""

    trainer: str
    right: int
    expected: int
    problem: str


def main(argv: Sequence[str] | None = None) -> int:
    """Check every checkout; 1 if a trainer does not find what was exported."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkout", type=Path, action="append", required=True)
    parser.add_argument("--python", default=sys.executable, help="of the trainers' environment")
    options = parser.parse_args(argv)
    findings = []
    for checkout in options.checkout:
        trainer = trainer_in(checkout)
        if trainer is None:
            parser.error(f"{checkout}: is no checkout of {', '.join(KNOWN_BY)}.")
        findings.append(check(trainer, checkout.resolve(), options.python))
    print(f"\n{'layout':14} {'pairs right':>12}  problem")
    for found in findings:
        print(f"{found.trainer:14} {found.right:>5} of {found.expected:<3}  {found.problem or '-'}")
    return int(any(found.problem for found in findings))


def trainer_in(checkout: Path) -> str | None:
    """Return the layout of the trainer whose repository this is."""
    return next((name for name, file in KNOWN_BY.items() if (checkout / file).is_file()), None)


def check(trainer: str, checkout: Path, python: str) -> Finding:
    """Export for a trainer, have its reader read that, and compare."""
    with tempfile.TemporaryDirectory() as temporary:
        export = Path(temporary, "training set")
        expected = exported(trainer, export, Path(temporary))
        folder = export / trainer
        command = [python, str(READERS), trainer, str(checkout)]
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
        done = subprocess.run(  # noqa: S603 - what the caller names
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no word"]
            return Finding(trainer, 0, len(expected), f"its reader ended: {lines[-1]}")
        found = {(line["split"], line["stem"]): line["caption"] for line in _lines(done.stdout)}
        right = sum(found.get(key) == caption for key, caption in expected.items())
        problem = _difference(expected, found) or _unknown_option(folder, checkout)
        return Finding(trainer, right, len(expected), problem)


def exported(trainer: str, export: Path, temporary: Path) -> dict[tuple[str, str], str]:
    """Export pairs for a trainer, and return the captions that it should find."""
    kinds = ("JPEG", "PNG", "WEBP")
    table = pa.table(
        {
            "image": [_image(n, kinds[n % 3]) for n in range(PAIRS)],
            "caption": [CAPTIONS[n % len(CAPTIONS)] for n in range(PAIRS)],
            "file_name": [f"train {n}.v2.jpg" for n in range(PAIRS)],
        }
    )
    run_component(
        ROOT / "components" / "export_dataset",
        table,
        temporary,
        output_path=str(export),
        layouts=["imagefolder", trainer],
        validation_fraction=0.25,
        name_files_by="file_name",
    )
    told = {}
    for split in ("train", "validation")[: 1 if trainer in TRAINS_ALONE else 2]:
        listing = export / "imagefolder" / split / "metadata.jsonl"
        for line in _lines(listing.read_text(encoding="utf-8")):
            told[split, Path(line["file_name"]).stem] = _as_read(trainer, line["text"])
    return told


def _as_read(trainer: str, caption: str) -> str:
    """Return what a trainer makes of the space in a caption."""
    if trainer in ONE_LINE:
        return " ".join(caption.split())
    return caption.strip() if trainer == "simpletuner" else caption


def _image(number: int, kind: str) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 255, (4, 6, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((100 + number, 80)).save(buffer, kind)
    return buffer.getvalue()


def _lines(text: str) -> Iterator[dict[str, str]]:
    yield from map(json.loads, text.splitlines())


def _difference(expected: Pairs, found: Pairs) -> str:
    for key, caption in expected.items():
        if key not in found:
            return f"{'/'.join(key)} is not found"
        if found[key] != caption:
            return f"{'/'.join(key)} has {found[key]!r}, not {caption!r}"
    extra = [key for key in found if key not in expected]
    return f"{'/'.join(extra[0])} is found, but was not exported" if extra else ""


def _unknown_option(folder: Path, checkout: Path) -> str:
    """Return which option of the README's commands the trainer does not declare, if any."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    commands = "\n".join(re.findall(r"^ {4}(.+)$", text, re.MULTILINE))
    files = [file.read_text(encoding="utf-8", errors="replace") for file in checkout.rglob("*.py")]
    for option in re.findall(r"--[a-z][\w-]+", commands):
        declared = re.compile(rf"[\"']{option}[\"']")
        if option != LAUNCHER and not any(map(declared.search, files)):
            return f"the README's command has {option}, which it does not declare"
    return ""


if __name__ == "__main__":
    sys.exit(main())
