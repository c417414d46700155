"""The feed of the models, in threads and in processes, against Pillow's way with a future a row.

    python benchmarks/feed.py [--images 512] [--rounds 3] [--tiny] [--json]

Photo-like JPEGs of 0.54 megapixels go through the feed to 224 (resized and cropped, as CLIP wants
them) and to 384 pixels (squashed, as BLIP does), by one thread and by as many as there are cores;
the best round counts. `all_processes` is the whole feed of a GPU: this process draws the groups,
and so many others prepare them as there are cores, less one from four on. `scaling` and
`scaling_of_processes` are the rates of all over that of one thread times their number, which no
feed reaches where two "cores" are the threads of one; `of_processes` is the rate of all threads
over what as many processes prepare that hand nothing on.

`parent_us_per_image` is the time of the processor that an image takes of this process when others
prepare it, which bounds the rate on many cores; `switches_per_image` how often one of its threads
gave up its core for that.

`core_ms` is what an image takes of one core. `gil_share` is the part of it that is spent outside of
the two calls that let go of Python's lock, libjpeg-turbo's and the resize: so it is the most that
the lock can be held. Of both, the best of some tries with each image counts.
`min_cosine` compares the vectors that CLIP makes of our pixels with those of Pillow's resize:
`demo` is trained, `B/32` has full size and random weights. `whole` compares with the model's own
processor on images that Pillow decoded whole.
"""

import argparse
import io
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import simplejpeg
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.feed_processes import fed_by_processes, processes_here
from benchmarks.full_models import make_clip
from benchmarks.models import photos
from demo.tiny_models import CLIP_FOLDER
from fondant_spec.cpu import cpu_count
from fondant_spec.dataset.rejects import Rejects
from image_toolkit.models.embedding.embedders import ImageEncoder
from image_toolkit.models.runtime import resizing
from image_toolkit.models.runtime.feed import Feed, FeedRow, prepared
from image_toolkit.models.runtime.hub import find_model
from image_toolkit.models.runtime.preparation import PixelPreparation
from image_toolkit.models.runtime.slots import stacked

BATCH, AHEAD = 64, 2
SIDES = (224, 384)
DISTINCT = 64
TWELVE_MEGAPIXELS = (4000, 3000)


def preparation(side: int) -> PixelPreparation:
    """Return how CLIP (224) or BLIP (384) wants its images."""
    size, crop = (side, (side, side)) if side == 224 else ((side, side), None)  # noqa: PLR2004
    half = (0.5, 0.5, 0.5)
    return PixelPreparation(size, crop, Image.Resampling.BICUBIC, 1 / 255, half, half)


@contextmanager
def pillow() -> Iterator[None]:
    """Have images resized by Pillow meanwhile."""
    with mock.patch.object(resizing, "_VECTORISED", ()):
        yield


def ours(prepare: PixelPreparation, cells: Sequence[bytes]) -> None:
    """Have images prepared by the feed, as a GPU's."""
    feed = Feed(
        lambda row, slot: prepared(prepare, row, slot),
        lambda: BATCH,
        ahead=AHEAD,
        into=[prepare],
        pinned=torch.cuda.is_available(),
    )
    rows = (FeedRow(str(number), cell) for number, cell in enumerate(cells))
    count = sum(len(stacked(group.items)) for group in feed.groups(rows, Rejects()))
    feed.close()
    assert count == len(cells)


def old(prepare: PixelPreparation, cells: Sequence[bytes]) -> None:
    """Have images prepared as before: Pillow's resize, a future for each, and a copy of all."""
    left, pending, count = iter(cells), deque[list[Future[np.ndarray]]](), 0
    with pillow(), ThreadPoolExecutor(cpu_count()) as pool:
        while True:
            some = [pool.submit(prepare, cell) for cell in islice(left, BATCH)]
            pending.append(some)
            if len(pending) > AHEAD or not some:
                done = pending.popleft()
                if not done:
                    break
                count += len(torch.from_numpy(np.stack([one.result() for one in done])))
    assert count == len(cells)


def by_processes(prepare: PixelPreparation, cells: Sequence[bytes]) -> float:
    """Return images a second of as many processes as cores, which hand nothing on.

    That is what the machine can do: they wait for no lock of Python's.
    """
    with multiprocessing.get_context("fork").Pool(cpu_count()) as pool:
        parts = [(prepare, cells[number :: cpu_count()]) for number in range(cpu_count())]
        pool.starmap(drop, [(prepare, part[:2]) for _, part in parts], 1)
        start = time.perf_counter()
        pool.starmap(drop, parts, 1)
        return len(cells) / (time.perf_counter() - start)


def drop(prepare: PixelPreparation, cells: Sequence[bytes]) -> None:
    """Prepare images, and let go of them."""
    for cell in cells:
        prepare(cell)


WAYS = {"ours": ours, "old": old}


def rates(cells: Sequence[bytes], rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Return images a second by way, threads and side: each the best of some rounds."""
    best: dict[str, dict[str, dict[str, float]]] = {
        way: {"one_thread": {}, "all_threads": {}} for way in WAYS
    }
    for _ in range(rounds):
        for side in SIDES:
            for way, work in WAYS.items():
                for name, threads in (("one_thread", 1), ("all_threads", cpu_count())):
                    with mock.patch.dict(os.environ, LOKY_MAX_CPU_COUNT=str(threads)):
                        start = time.perf_counter()
                        work(preparation(side), cells)
                        rate = len(cells) / (time.perf_counter() - start)
                    found = best[way][name]
                    found[str(side)] = max(found.get(str(side), 0.0), rate)
            found = best["ours"].setdefault("processes", {})
            rate = by_processes(preparation(side), cells)
            found[str(side)] = max(found.get(str(side), 0.0), rate)
    return best


def lock_share(
    prepare: PixelPreparation, cells: Sequence[bytes], rounds: int
) -> tuple[float, float]:
    """Return the share of time outside of calls that let go of the lock, and the time an image.

    The second in milliseconds. The best try with each image counts: others were interrupted.
    """
    away = 0.0

    def timed(work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal away
            start = time.perf_counter()
            made = work(*arguments, **options)
            away += time.perf_counter() - start
            return made

        return call

    whole, held = 0.0, 0.0
    with (
        mock.patch.object(simplejpeg, "decode_jpeg", timed(simplejpeg.decode_jpeg)),
        mock.patch.object(resizing, "interpolate", timed(resizing.interpolate)),
        mock.patch.object(Image.Image, "resize", timed(Image.Image.resize)),
    ):
        for cell in cells:
            tries = []
            for _ in range(rounds):
                away, start = 0.0, time.perf_counter()
                prepare(cell)
                spent = time.perf_counter() - start
                tries.append((spent, spent - away))
            whole += min(spent for spent, _ in tries)
            held += min(left for _, left in tries)
    return held / whole, 1000 * whole / len(cells)


def costs(cells: dict[str, Sequence[bytes]], rounds: int) -> dict[str, dict[str, Any]]:
    """Return the share of the lock and the milliseconds an image, by way and kind of image."""
    found: dict[str, dict[str, Any]] = {}
    for way, context in (("ours", nullcontext), ("old", pillow)):
        shares, times = {}, {}
        for size, some in cells.items():
            for side in SIDES:
                with context():
                    share, spent = lock_share(preparation(side), some, rounds)
                shares[f"{size} to {side}"], times[f"{size} to {side}"] = share, spent
        found[way] = {"gil_share": shares, "core_ms": times}
    return found


def vectors(encoder: ImageEncoder, items: Sequence[Any]) -> torch.Tensor:
    """Return the vectors of images, of length 1."""
    with torch.inference_mode():
        made = encoder.tower(**encoder.collate(items))
    return torch.nn.functional.normalize(made.float(), dim=-1)


def closeness(model: Path, cells: Sequence[bytes]) -> dict[str, float]:
    """Return the least cosine of our vectors with those of other ways to prepare images."""
    encoder = ImageEncoder(find_model(str(model)))
    prepare = encoder.prepare
    assert isinstance(prepare, PixelPreparation)
    made = vectors(encoder, [prepare(cell) for cell in cells])
    with pillow():
        resized = vectors(encoder, [prepare(cell) for cell in cells])
    images = [Image.open(io.BytesIO(cell)) for cell in cells]
    whole = encoder.tower.tower(
        pixel_values=encoder._processor(images=images, return_tensors="pt")["pixel_values"]  # noqa: SLF001
    )
    whole = torch.nn.functional.normalize(whole.detach().float(), dim=-1)
    return {
        "pillow": float((made * resized).sum(-1).min()),
        "whole": float((made * whole).sum(-1).min()),
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3, help="each way's best one counts")
    parser.add_argument("--tiny", action="store_true", help="all parts, in seconds")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    images, rounds = (8, 1) if options.tiny else (options.images, options.rounds)
    torch.set_num_threads(cpu_count())
    cells = photos(min(images, DISTINCT))
    large = photos(1 if options.tiny else 5, TWELVE_MEGAPIXELS)
    some = [cells[number % len(cells)] for number in range(images)]
    by_rate = rates(some, rounds)
    by_process: dict[str, dict[str, float]] = {}
    for side in SIDES:
        for name, value in fed_by_processes(preparation(side), some, rounds).items():
            by_process.setdefault(name, {})[str(side)] = value
    by_cost = costs({"0.54 MP": cells[:16], "12 MP": large}, 4 * rounds)
    close = {"demo": closeness(CLIP_FOLDER, cells[:32])}
    if not options.tiny:
        with tempfile.TemporaryDirectory() as folder:
            close["B/32"] = closeness(make_clip(Path(folder), 32), cells[:32])
    result = summary(by_rate, by_process, by_cost, close)
    show(result)
    if options.json:
        print(json.dumps(result))


def summary(
    by_rate: dict[str, dict[str, dict[str, float]]],
    by_process: dict[str, dict[str, float]],
    by_cost: dict[str, dict[str, Any]],
    close: dict[str, dict[str, float]],
) -> dict[str, Any]:
    """Return all that was measured, and the worst of what has a target."""
    ways = {}
    for way in WAYS:
        one, every = by_rate[way]["one_thread"], by_rate[way]["all_threads"]
        scaling = {side: every[side] / (cpu_count() * one[side]) for side in one}
        ways[way] = {**by_rate[way], "scaling": scaling, **by_cost[way]}
    own = ways["ours"]
    shares = [own["all_threads"][side] / rate for side, rate in own["processes"].items()]
    return rounded(
        {
            "cores": cpu_count(),
            "one_thread": own["one_thread"],
            "all_threads": own["all_threads"],
            "all_processes": by_process["rate"],
            "scaling": min(own["scaling"].values()),
            "scaling_of_processes": min(
                rate / (processes_here() * own["one_thread"][side])
                for side, rate in by_process["rate"].items()
            ),
            "parent_us_per_image": by_process["parent_us_per_image"],
            "switches_per_image": by_process["switches_per_image"],
            "processes": own["processes"],
            "of_processes": min(shares),
            "gil_share": max(own["gil_share"].values()),
            "core_ms": own["core_ms"],
            "min_cosine": min(found["pillow"] for found in close.values()),
            "cosines": close,
            **ways,
        }
    )


def rounded(found: Any) -> Any:
    """Return figures with four digits, or six behind the point if they are about 1."""
    if isinstance(found, dict):
        return {name: rounded(one) for name, one in found.items()}
    return found if isinstance(found, int) else float(f"{found:.6g}")


def show(found: dict[str, Any]) -> None:
    """Print a table of both ways."""
    print(f"{'':<24}{'ours':>10}{'old':>10}")
    for name in ("one_thread", "all_threads", "scaling", "gil_share", "core_ms"):
        for what, value in found["ours"][name].items():
            print(f"{name + ' ' + what:<24}{value:>10.4g}{found['old'][name][what]:>10.4g}")
    for side, rate in found["processes"].items():
        print(f"{'processes ' + side:<24}{rate:>10.4g}")
    for name in ("all_processes", "parent_us_per_image", "switches_per_image"):
        for side, value in found[name].items():
            print(f"{name + ' ' + side:<24}{value:>10.4g}")
    print(f"{'scaling_of_processes':<24}{found['scaling_of_processes']:>10.4g}")
    for model, cosines in found["cosines"].items():
        print(f"{model}: least cosine to Pillow's resize {cosines['pillow']:.6f}, ", end="")
        print(f"to the whole image by the processor {cosines['whole']:.6f}")


if __name__ == "__main__":
    main()
