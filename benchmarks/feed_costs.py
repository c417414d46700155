"""What preparing an image takes of a core and of Python's lock, and how close vectors stay."""

import io
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import simplejpeg
import torch
from PIL import Image

from benchmarks.feed_rates import SIDES, pillow, preparation
from image_toolkit.models.embedding.embedders import ImageEncoder
from image_toolkit.models.runtime import resizing
from image_toolkit.models.runtime.hub import find_model
from image_toolkit.models.runtime.preparation import PixelPreparation


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
