# ruff: noqa: S603 - the programs are this file's own
"""What `embedding.py` and `captioning.py` share: images, peers, measurements."""

import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from skimage import data
from torch import nn

from benchmarks.peak_memory import Watch
from image_toolkit.models.cpu.packed_layers import PackedLinear
from image_toolkit.models.cpu.quantised_layers import QuantisedLinear
from image_toolkit.models.runtime.device import Placement, devices, place

ROOT = Path(__file__).parents[1]
PEERS = ROOT / "benchmarks" / "model_peers.py"
VENVS = ROOT / ".venvs"
ENVIRONMENTS: dict[str, tuple[str, list[str]]] = {
    "fondant": (
        "fondant-models",
        [
            "torch==2.0.1",
            "transformers==4.29.2",
            "Pillow==10.0.1",
            "numpy<1.25",
            "pandas<2.1",
            "pyarrow<16",
            "safetensors",
            "{checkout}",
        ],
    ),
    "clip_retrieval": (
        "clip-retrieval",
        [
            "clip-retrieval==2.45.0",
            "torch==2.13.0",
            "torchvision==0.28.0",
            "setuptools<81",
            "psutil",
        ],
    ),
}
FILES = 4  # so that each of a peer's workers gets equally many, and loads its model
WARM = 16
SECONDS_PER_PEER = 1800


@dataclass(frozen=True)
class Measured:
    """A peer's images per second, its cost per image, and its peak memory.

    `cpu_ms` is the CPU time of all processes per image: it hardly depends on other load, and on a
    GPU it is not the cost of an image.
    """

    peer: str
    images: int
    rate: float
    cpu_ms: float
    peak_mb: int


def photo(number: int, random: np.random.Generator, size: tuple[int, int] = (850, 635)) -> bytes:
    """Return a photo-like JPEG of 0.54 megapixels, or of another `(width, height)`."""
    names = ("astronaut", "coffee", "chelsea", "rocket", "cat")
    source = Image.fromarray(getattr(data, names[number % len(names)])())
    width, height = source.size
    left, top = (int(random.integers(0, side // 4)) for side in (width, height))
    crop = source.crop((left, top, left + width * 3 // 4, top + height * 3 // 4))
    pixels = np.asarray(crop.resize(size, Image.Resampling.BICUBIC), np.int16)
    grain = random.integers(-6, 7, pixels.shape, dtype=np.int16)
    file = io.BytesIO()
    Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=88)
    return file.getvalue()


def photos(count: int, size: tuple[int, int] = (850, 635)) -> list[bytes]:
    """Return photo-like JPEGs of a size, the same each time."""
    random = np.random.default_rng(0)
    return [photo(number, random, size) for number in range(count)]


def make_photos(folder: Path, count: int) -> None:
    """Write photo-like JPEGs of 0.54 megapixels, as Parquet and as files."""
    cells = photos(count)
    for part, some in (("images", cells), ("warm", cells[:WARM])):
        (folder / part).mkdir(parents=True)
        for number in range(FILES):
            path = folder / part / f"part-{number:05}.parquet"
            pq.write_table(pa.table({"image": some[number::FILES]}), path)
    for part, some in (("files", cells), ("files-warm", cells[:WARM])):
        (folder / part).mkdir()
        for number, cell in enumerate(some):
            (folder / part / f"{number:05}.jpg").write_bytes(cell)


def python_of(peer: str, checkout: Path | None) -> Path | None:
    """Return a peer's interpreter, creating its environment if needed; None if not available."""
    if peer not in ENVIRONMENTS:
        return Path(sys.executable)
    name, packages = ENVIRONMENTS[peer]
    venv = VENVS / name
    ready = venv / "ready"
    if ready.exists():
        return venv / "bin" / "python"
    if any("{checkout}" in package for package in packages) and checkout is None:
        return None
    words = [package.format(checkout=checkout) for package in packages]
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    done = subprocess.run([venv / "bin" / "pip", "install", "-q", *words], check=False)
    if done.returncode:
        return None
    ready.touch()
    return venv / "bin" / "python"


def measure_all(
    peers: Sequence[str],
    task: str,
    folder: Path,
    model: Path,
    checkout: Path | None,
    rounds: int,
) -> list[Measured]:
    """Run the peers in turn, and return each one's best round: other load only slows them down."""
    best: dict[str, Measured] = {}
    out: set[str] = set()
    for _ in range(rounds):
        for peer in peers:
            if peer in out:
                continue
            found = measure(peer, task, folder, model, checkout)
            if found is None:
                out.add(peer)
            elif peer not in best or found.rate > best[peer].rate:
                best[peer] = found
    return list(best.values())


def measure(
    peer: str, task: str, folder: Path, model: Path, checkout: Path | None
) -> Measured | None:
    """Run a peer, and return its figures; None, with the reason printed, if it cannot run."""
    python = python_of(peer, checkout)
    if python is None:
        print(f"  {peer}: left out, its environment cannot be had (see --fondant)")
        return None
    for made in (*folder.glob("made-*"), folder / "base"):
        shutil.rmtree(made, ignore_errors=True) if made.is_dir() else made.unlink(missing_ok=True)
    words = [str(python), str(PEERS), f"{task}:{peer}", str(folder), str(model), str(checkout)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    if peer in ENVIRONMENTS:
        del environment["PYTHONPATH"]
    with subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        watch = Watch(process.pid)
        output, errors = process.communicate(timeout=SECONDS_PER_PEER)
        peak = watch.stop()
    if process.returncode:
        print(f"  {peer}: left out, it failed:\n{errors[-1500:]}")
        return None
    told = json.loads(output.strip().splitlines()[-1])
    count = told["images"]
    cpu_ms = 1000 * told["cpu_seconds"] / count
    return Measured(peer, count, count / told["seconds"], cpu_ms, round(peak))


def matrix_share(one: Measured, gflop: float, precision: str) -> float:
    """Return the share of the machine's multiplication rate that `gflop` per image amounts to.

    The rate is that of one large product in `precision`. On a CPU it compares CPU time with the
    rate of one core; on a GPU, wall-clock time.
    """
    if torch.cuda.is_available():
        return one.rate * gflop * 1e9 / _peak_of_gpu()
    return gflop * 1e9 / (one.cpu_ms / 1000 * _peak_of_core(precision))


def _peak_of_core(precision: str) -> float:
    rows, width = 2048, 2048
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    best = 0.0
    with torch.inference_mode():
        multiply = _product(torch.randn(rows, width), nn.Linear(width, width), precision)
        for _ in range(50):
            start = time.process_time()
            multiply()
            best = max(best, 2 * rows * width * width / (time.process_time() - start))
    torch.set_num_threads(threads)
    return best


def _product(values: torch.Tensor, linear: nn.Linear, precision: str) -> Callable[[], Any]:
    """Return a function that multiplies as our layers do, and does nothing else."""
    if precision != "int8":
        dtype = Placement(torch.device("cpu"), precision).dtype
        return partial(PackedLinear(linear, dtype=dtype), values.to(dtype))
    bytes_of_pixels = values.mul(30).clamp(0, 255).to(torch.uint8)
    return partial(QuantisedLinear(linear, quantiser=None), bytes_of_pixels)


def _peak_of_gpu() -> float:
    side, times = 8192, 20
    left, right = (torch.randn(side, side, device="cuda").bfloat16() for _ in range(2))
    best = 0.0
    for _ in range(5):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(times):
            left @ right
        torch.cuda.synchronize()
        best = max(best, times * 2 * side**3 / (time.perf_counter() - start))
    return best


def table(measured: Sequence[Measured], title: str) -> None:
    """Print the peers' figures."""
    print(f"\n{title}\n{'peer':<16}{'images':>8}{'images/s':>10}{'CPU ms':>9}{'peak MB':>9}")
    for one in measured:
        print(f"{one.peer:<16}{one.images:>8}{one.rate:>10.2f}{one.cpu_ms:>9.1f}{one.peak_mb:>9}")


def summary(measured: Sequence[Measured], gflop: float) -> dict[str, Any]:
    """Return the ratios for what `auto` picked, those for int8 where it ran, and the table."""
    found = {**_ratios(measured, "", place(devices()[0], "auto").precision, gflop)}
    if any(one.peer == "ours_int8" for one in measured):
        found["int8"] = _ratios(measured, "_int8", "int8", gflop)
    return {**found, "table": [asdict(one) for one in measured]}


def _ratios(
    measured: Sequence[Measured], kind: str, precision: str, gflop: float
) -> dict[str, Any]:
    """Return our rate relative to each peer's, to the model's own and to the machine's.

    Each is given by wall-clock and (`cpu_...`) by CPU time.
    """
    by_peer = {one.peer: one for one in measured}
    own, alone = by_peer[f"ours{kind}"], by_peer[f"alone{kind}"]
    found: dict[str, float] = {}
    for peer in ("fondant", "clip_retrieval", "transformers"):
        if peer in by_peer:
            found[f"{peer}_ratio"] = own.rate / by_peer[peer].rate
            found[f"cpu_{peer}_ratio"] = by_peer[peer].cpu_ms / own.cpu_ms
    found["feed_share"] = own.rate / alone.rate
    found["cpu_feed_share"] = alone.cpu_ms / own.cpu_ms
    found["matrix_share"] = matrix_share(own, gflop, precision)
    return {"precision": precision, **{name: round(value, 3) for name, value in found.items()}}
