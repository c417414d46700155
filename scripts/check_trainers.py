"""Reads exports with the trainers' own code, and prints a table of the results.

    python scripts/check_trainers.py --checkout ../sd-scripts --checkout ../SimpleTuner

Each CHECKOUT is a trainer's repository, recognised by its files; --python is the environment in
which the trainer is installed, for OneTrainer together with its package mgds. The script makes two
exports: a plain one, of small images with captions that are easy to get wrong; and a full one, with
several captions per image, weighted tags, masks, repeats and regularisation images. Counts, splits,
captions, tags, masks and repeats must be read back as exported, and the trainer must accept the
options of the commands in the README.
"""

import argparse
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from fondant_spec.testing import run_component
from fondant_spec.worker.component_code import load_module

ROOT: Final = Path(__file__).parents[1]
EXPORT: Final = ROOT / "components" / "export_dataset"
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
"""Trainers without a validation split."""
DRAWS: Final = ("kohya", "simpletuner", "onetrainer")
"""Trainers that pick one of several captions themselves."""
MASKED: Final = {
    "kohya": ("train",),
    "simpletuner": ("train",),
    "onetrainer": ("train", "validation"),
}
"""Trainers that use masks, and for which splits."""
CLASS: Final = "a photo of a dog"
PAIRS: Final = 21
ONE_LINE: Final = ("kohya", "onetrainer")
"""Trainers that read each line of a text file as a caption."""
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

Pairs = Mapping[tuple[str, str], "Read"]


class Read(NamedTuple):
    """What a trainer reads for an image: the captions it chooses from, and whether there is a mask.

    `repeats` is how often it sees the image per epoch.
    """

    captions: tuple[str, ...]
    masked: bool = False
    repeats: int = 1


@dataclass(frozen=True)
class Finding:
    """The result for a trainer: a short word, and how many pairs of how many were correct."""

    trainer: str
    export: str
    right: int
    expected: int
    problem: str


def main(argv: Sequence[str] | None = None) -> int:
    """Check every checkout; return 1 if a trainer does not read what was exported."""
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
        findings += [check(trainer, kind, checkout.resolve(), options.python) for kind in EXPORTS]
    print(f"\n{'layout':14} {'export':8} {'pairs right':>12}  problem")
    for found in findings:
        right = f"{found.right:>5} of {found.expected:<3}"
        print(f"{found.trainer:14} {found.export:8} {right:>12}  {found.problem or '-'}")
    return int(any(found.problem for found in findings))


def trainer_in(checkout: Path) -> str | None:
    """Return the layout of the trainer whose repository this is."""
    return next((name for name, file in KNOWN_BY.items() if (checkout / file).is_file()), None)


def check(trainer: str, kind: str, checkout: Path, python: str) -> Finding:
    """Export for a trainer, read the export with its own code, and compare."""
    with tempfile.TemporaryDirectory() as temporary:
        export = Path(temporary, "training set")
        expected = EXPORTS[kind](trainer, export, Path(temporary))
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
            return Finding(trainer, kind, 0, len(expected), f"its reader ended: {lines[-1]}")
        found = {(line["split"], line["stem"]): _read(line) for line in _lines(done.stdout)}
        right = sum(found.get(key) == pair for key, pair in expected.items())
        problem = _difference(expected, found) or _unknown_option(folder, checkout)
        return Finding(trainer, kind, right, len(expected), problem)


def _read(line: Mapping[str, Any]) -> Read:
    return Read(tuple(line["captions"]), line["masked"], line["repeats"])


def plain(trainer: str, export: Path, temporary: Path) -> Pairs:
    """Export pairs with one caption each for a trainer, and return what it should read."""
    kinds = ("JPEG", "PNG", "WEBP")
    table = pa.table(
        {
            "image": [_image(n, kinds[n % 3]) for n in range(PAIRS)],
            "caption": [CAPTIONS[n % len(CAPTIONS)] for n in range(PAIRS)],
            "file_name": [f"train {n}.v2.jpg" for n in range(PAIRS)],
        }
    )
    _export(table, export, temporary, ["imagefolder", trainer], name_files_by="file_name")
    told: dict[tuple[str, str], Read] = {}
    for split in ("train", "validation")[: 1 if trainer in TRAINS_ALONE else 2]:
        listing = export / "imagefolder" / split / "metadata.jsonl"
        for line in _lines(listing.read_text(encoding="utf-8")):
            caption = _as_read(trainer, line["text"])
            told[split, Path(line["file_name"]).stem] = Read((caption,))
    return told


def full(trainer: str, export: Path, temporary: Path) -> Pairs:
    """Export everything a trainer supports, and return what it should read."""
    of_class = range(PAIRS - 3, PAIRS)
    table = pa.table(
        {
            "image": [_image(n, "JPEG") for n in range(PAIRS)],
            "caption": [CAPTIONS[n % len(CAPTIONS)] for n in range(PAIRS)],
            "more_captions": [[f"another {{one|two}} {n}"] * (n % 3) for n in range(PAIRS)],
            "tags": [["red hat", f"tag{n}", "o_o"][: n % 4] for n in range(PAIRS)],
            "tag_weights": pa.array(
                [[1.0, 2.5, 0.5][: n % 4] for n in range(PAIRS)], pa.list_(pa.float32())
            ),
            "mask": pa.array([_mask(n) if n % 2 else None for n in range(PAIRS)], pa.binary()),
            "repeats": pa.array([(None, 1, 2, 5)[n % 4] for n in range(PAIRS)], pa.int32()),
            "class_prompt": [CLASS if n in of_class else None for n in range(PAIRS)],
        }
    )
    _export(table, export, temporary, ["parquet", trainer])
    told: dict[tuple[str, str], Read] = {}
    texts = load_module(EXPORT, "pair_texts").Texts
    for file in sorted((export / "parquet").glob("*.parquet")):
        split = file.name.partition("-")[0]
        if split == "validation" and trainer in TRAINS_ALONE:
            continue
        for row in pq.read_table(file).to_pylist():
            stem = Path(row["image"]["path"]).stem
            captions = row["text"] if trainer in DRAWS else [texts(tuple(row["text"])).drawn(stem)]
            tags = [*zip(row["tags"], row["tag_weights"], strict=True)]
            if split == "regularization":
                tags = []
            if trainer == "everydream2":
                tags.sort(key=lambda tag: tag[1], reverse=True)
            behind = "".join(f", {tag}" for tag, _ in tags)
            read = tuple(_as_read(trainer, caption) + behind for caption in captions)
            told[split, stem] = Read(read, split in MASKED.get(trainer, ()), row["repeats"])
    return told


def _export(
    table: pa.Table, export: Path, temporary: Path, layouts: list[str], **arguments: Any
) -> None:
    run_component(
        EXPORT,
        table,
        temporary,
        output_path=str(export),
        layouts=layouts,
        validation_fraction=0.25,
        **arguments,
    )


EXPORTS: Final[Mapping[str, Callable[[str, Path, Path], Pairs]]] = {"plain": plain, "full": full}


def _as_read(trainer: str, caption: str) -> str:
    """Return a caption with its whitespace as the trainer reads it."""
    if trainer in ONE_LINE:
        return " ".join(caption.split())
    return caption.strip() if trainer == "simpletuner" else caption


def _mask(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((100 + number, 80)).save(buffer, "PNG")
    return buffer.getvalue()


def _image(number: int, kind: str) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 255, (4, 6, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((100 + number, 80)).save(buffer, kind)
    return buffer.getvalue()


def _lines(text: str) -> Iterator[dict[str, Any]]:
    yield from map(json.loads, text.splitlines())


def _difference(expected: Pairs, found: Pairs) -> str:
    for key, caption in expected.items():
        if key not in found:
            return f"{'/'.join(key)} is not found"
        if found[key] != caption:
            return f"{'/'.join(key)} has {found[key]}, not {caption}"
    extra = [key for key in found if key not in expected]
    return f"{'/'.join(extra[0])} is found, but was not exported" if extra else ""


def _unknown_option(folder: Path, checkout: Path) -> str:
    """Return an option of the README's commands that the trainer does not declare, if any."""
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
