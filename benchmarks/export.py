"""Measures exporting a dataset for five trainers at once: images per second, disk and memory.

    python benchmarks/export.py [--pairs 10000] [--json]

The images are 512x512 crops of the demo's photographs, no two files alike. The comparison is a
simple script of one page that writes each image and its caption into five folders, without checking
any image or reading anything back. `disk` is the space used beyond one copy of the images.
"""

import argparse
import io
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.peak_memory import megabytes
from demo.photos import PHOTOS, load
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.dataset.partitions import read_batches
from fondant_spec.testing import write_dataset

COMPONENT: Final = Path(__file__).parents[1] / "components" / "export_dataset"
LAYOUTS: Final = ["imagefolder", "kohya", "simpletuner", "ai-toolkit", "onetrainer"]
SIDE: Final = 512
CROPS: Final = 400
ROWS_A_PARTITION: Final = 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        # In another process, since a process starts with the memory of its parent.
        with ProcessPoolExecutor(1, get_context("spawn")) as maker:
            location, image_bytes = maker.submit(_dataset, Path(folder), options.pairs).result()
        dataset = Manifest.read(location)
        results = {
            "ours": _ours(dataset, Path(folder), image_bytes),
            "plain": _plain(dataset, Path(folder) / "plain", image_bytes),
        }
    print(f"{options.pairs:,} pairs, {image_bytes / 1e6:,.0f} MB of images, {len(LAYOUTS)} layouts")
    print(f"{'who':8} {'images/s':>9} {'CPU ms an image':>16} {'disk %':>8} {'peak MB':>8}")
    for who, told in results.items():
        rate, cpu = options.pairs / told["seconds"], 1000 * told["cpu"] / options.pairs
        print(f"{who:8} {rate:9.0f} {cpu:16.2f} {told['disk']:8.1f} {told['peak_mb']:8.0f}")
    if options.json:
        print(json.dumps({"pairs": options.pairs, "image_bytes": image_bytes, **results}))


def _dataset(folder: Path, pairs: int) -> tuple[str, int]:
    """Write images and captions as a dataset; return its location and the bytes of its images."""
    crops = list(itertools.islice(_crops(), min(CROPS, pairs)))
    images = [_named(crops[number % len(crops)], number) for number in range(pairs)]
    captions = [
        f"a photo with the number {number}, as a caption says it" for number in range(pairs)
    ]
    table = pa.table({"image": pa.array(images, pa.large_binary()), "caption": captions})
    table = table.cast(pa.schema([("image", pa.binary()), ("caption", pa.string())]))
    made = write_dataset(table, folder / "base", rows_per_partition=ROWS_A_PARTITION)
    return made.location, sum(map(len, images))


def _crops() -> Iterator[bytes]:
    rng = np.random.default_rng(0)
    photos = [load(photo.subject).convert("RGB") for photo in PHOTOS]
    while True:
        photo = photos[rng.integers(len(photos))]
        side = int(rng.integers(min(photo.size) // 2, min(photo.size)))
        left, top = (int(rng.integers(0, length - side + 1)) for length in photo.size)
        crop = photo.crop((left, top, left + side, top + side)).resize((SIDE, SIDE))
        buffer = io.BytesIO()
        crop.save(buffer, "JPEG", quality=90)
        yield buffer.getvalue()


def _named(jpeg: bytes, number: int) -> bytes:
    """Return a JPEG with a number in a comment, so that no two files are the same."""
    comment = b"%012d" % number
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]


def _ours(dataset: Manifest, folder: Path, image_bytes: int) -> dict[str, Any]:
    target = folder / "ours"
    words = ["--base_path", folder / "base", "--input_manifest_path", dataset.location]
    words += ["--output_path", target, "--layouts", json.dumps(LAYOUTS)]
    command = [sys.executable, COMPONENT / "src" / "main.py", *words]
    began = time.monotonic()
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE)  # noqa: S603 - ours
    assert process.stderr is not None
    told = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, told
    return {
        "seconds": time.monotonic() - began,
        "cpu": usage.ru_utime + usage.ru_stime,
        "disk": _beyond_one_copy(target, image_bytes),
        "peak_mb": megabytes(usage.ru_maxrss),
    }


def _plain(dataset: Manifest, target: Path, image_bytes: int) -> dict[str, Any]:
    """Write images and captions into five folders, as one would by hand."""
    began, before = time.monotonic(), os.times()
    folders = [target / layout for layout in LAYOUTS]
    for folder in folders:
        folder.mkdir(parents=True)
    for partition in dataset.partitions:
        for batch in read_batches(dataset.fields, dataset.index_location, partition.name):
            for row in batch.to_pylist():
                for folder in folders:
                    (folder / f"{row['id']}.jpg").write_bytes(row["image"])
                    (folder / f"{row['id']}.txt").write_text(row["caption"])
    after = os.times()
    seconds = time.monotonic() - began
    disk = _beyond_one_copy(target, image_bytes)
    shutil.rmtree(target)
    cpu = after.user + after.system - before.user - before.system
    return {"seconds": seconds, "cpu": cpu, "disk": disk, "peak_mb": float("nan")}


def _beyond_one_copy(folder: Path, image_bytes: int) -> float:
    """Return the bytes in a folder beyond one copy of the images, as a percentage of that copy.

    A file with several hard links counts once.
    """
    stats = (path.stat() for path in folder.rglob("*") if path.is_file())
    sizes = {stat.st_ino: stat.st_size for stat in stats}
    return 100 * (sum(sizes.values()) / image_bytes - 1)


if __name__ == "__main__":
    main()
