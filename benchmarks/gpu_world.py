"""What the parts of `gpu.py` share: images, models, timing, GPU monitoring, and results."""

import io
import json
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import torch

from benchmarks.models import photo
from fondant_spec.cpu import cpu_count
from fondant_spec.testing import write_dataset

ON_GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda", 0) if ON_GPU else torch.device("cpu")
TINY_KINDS = {"L14": "clip", "B32": "clip", "blip-base": "blip", "blip-large": "blip"}


def maker(name: str) -> Callable[[Path], Any]:
    """Return the function that makes a full-size model."""
    from benchmarks import full_models  # noqa: PLC0415 - only who makes models needs them

    return {
        "L14": partial(full_models.make_clip, patch=14),
        "B32": partial(full_models.make_clip, patch=32),
        "blip-base": full_models.make_blip,
        "blip-large": partial(full_models.make_blip, large=True),
        "florence-base": full_models.make_florence,
    }[name]


@dataclass
class World:
    """The folder of the images and models, and the place for results."""

    folder: Path
    into: Path
    part: str
    tiny: bool = False
    brief: bool = False
    _photos: list[bytes] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Number of images for the embedding steps."""
        return 60 if self.tiny else 16_000

    def tell(self, what: str, **found: Any) -> None:
        """Write a result."""
        line = {"part": self.part, "what": what, **found}
        with (self.into / "results.jsonl").open("a") as file:
            file.write(json.dumps(line, default=str) + "\n")

    @contextmanager
    def trying(self, what: str) -> Iterator[None]:
        """Record a failure as a result, so that the rest of a part still runs."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is
            self.tell(what, failed=f"{type(error).__name__}: {error}"[:500])
            traceback.print_exc()

    def photos(self) -> list[bytes]:
        """Return the distinct images."""
        if not self._photos:
            packed = (self.folder / "photos").read_bytes()
            ends = np.frombuffer((self.folder / "ends").read_bytes(), np.int64)
            starts = [0, *ends[:-1]]
            self._photos = [packed[a:b] for a, b in zip(starts, ends, strict=True)]
        return self._photos

    def cells(self, count: int) -> list[bytes]:
        """Return so many images, no two of them equal."""
        own = self.photos()
        return [numbered(own[number % len(own)], number) for number in range(count)]

    def dataset(self, rows: int) -> str:
        """Return the location of a dataset of so many images, made if missing."""
        base = self.folder / f"rows-{rows}"
        told = base / "location"
        if not told.exists():
            parts = [
                pa.array(self.cells(rows)[at : at + 500], pa.binary()) for at in range(0, rows, 500)
            ]
            table = pa.table({"image": pa.chunked_array(parts)})
            made = write_dataset(table, base, rows_per_partition=16 if self.tiny else 1000)
            told.write_text(made.location)
        return told.read_text()

    def model(self, name: str) -> Path:
        """Return the folder of a model."""
        return self.folder / "models" / name

    def make(self, distinct: int, models: list[str]) -> None:
        """Make images and models, in parallel."""
        (self.folder / "models").mkdir(exist_ok=True)
        with ProcessPoolExecutor(cpu_count(), get_context("spawn")) as pool:
            making = [pool.submit(make_model, name, self.model(name), self.tiny) for name in models]
            photos = list(pool.map(_photo, range(distinct), chunksize=8))
            (self.folder / "photos").write_bytes(b"".join(photos))
            ends = np.cumsum([len(one) for one in photos]).astype(np.int64)
            (self.folder / "ends").write_bytes(ends.tobytes())
            self.dataset(self.rows)
            for model in making:
                model.result()


def make_model(name: str, folder: Path, tiny: bool) -> None:  # noqa: FBT001 - goes to a process
    """Write a full-size model, or a tiny one."""
    torch.set_num_threads(4)
    if tiny:
        from tests.tiny_models import make_model as make_tiny  # noqa: PLC0415 - needs pytest

        make_tiny(TINY_KINDS.get(name, "florence2"), folder)
    else:
        maker(name)(folder)


def _photo(number: int) -> bytes:
    return photo(number, np.random.default_rng(number))


def numbered(jpeg: bytes, number: int) -> bytes:
    """Return a JPEG with a number in a comment, so that no two files are equal."""
    text = f"{number:012d}".encode()
    return jpeg[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2) + text + jpeg[2:]


def wait() -> None:
    """Wait until the GPU has finished its work."""
    if ON_GPU:
        torch.cuda.synchronize()


def rate_of(items: int, work: Callable[..., object], *given: Any, least: float = 1.0) -> float:
    """Return a call's items per second, measured over at least so many seconds."""
    work(*given)
    wait()
    start, calls = time.perf_counter(), 0
    while time.perf_counter() - start < least:
        work(*given)
        wait()
        calls += 1
    return calls * items / (time.perf_counter() - start)


class Watch:
    """A separate process that records ten times a second what the GPU and this process do."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()
        own = [sys.executable, "-m", "benchmarks.gpu_watch", str(psutil.Process().pid), str(path)]
        self._process = subprocess.Popen(own, cwd=Path(__file__).parents[1])  # noqa: S603 - ours

    def between(self, start: float, end: float) -> dict[str, float]:
        """Return means between two times: GPU utilisation, CPU cores in use, and memory in MB."""
        rows = [
            json.loads(line) for line in self._path.read_text().splitlines() if line[-1:] == "}"
        ]
        rows = [row for row in rows if start <= row["time"] <= end]
        if len(rows) < 2:  # noqa: PLR2004
            return {}
        span = rows[-1]["time"] - rows[0]["time"]
        found = {"cores": (rows[-1]["cpu"] - rows[0]["cpu"]) / span}
        busy = [row["busy"] for row in rows if "busy" in row]
        if busy:
            found["card_busy"] = sum(busy) / len(busy) / 100
            found["card_mb"] = max(row["card_mb"] for row in rows if "card_mb" in row)
        return {name: round(value, 3) for name, value in found.items()}

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()


def as_images(cells: list[bytes]) -> list[Any]:
    """Return images as the usual loops open them."""
    from PIL import Image  # noqa: PLC0415 - as those do

    return [Image.open(io.BytesIO(cell)).convert("RGB") for cell in cells]
