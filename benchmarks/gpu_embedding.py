"""The embedding step on a GPU, beside its parts and the usual loops."""

import time
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

from benchmarks.gpu_steps import step
from benchmarks.gpu_world import DEVICE, ON_GPU, World, as_images, rate_of
from fondant_spec.cpu import cpu_count
from image_toolkit.models.embedding.embedders import image_encoder
from image_toolkit.models.embedding.embedding_stream import Embedder
from image_toolkit.models.runtime.batching import BatchSize
from image_toolkit.models.runtime.device import Placement
from image_toolkit.models.runtime.model_runner import EncoderRunner

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def embedding(world: World, name: str) -> None:
    """Measure the step, its feed with a no-op model, its model, and its image tower."""
    folder = str(world.model(name))
    with world.trying("step"):
        found, manifest = step(world, "image_embedding", world.rows, model_id=folder)
        made_by = manifest.fields["embedding"].metadata
        world.tell("step", precision=made_by["precision"], **found)
    with world.trying("feed alone"):
        world.tell("feed alone", whole=_feed(world, folder))
    if world.brief:
        return
    precision = "fp16" if ON_GPU else "fp32"
    runner = EncoderRunner(
        image_encoder(folder), Placement(DEVICE, precision), "torch", BatchSize(8)
    )
    items = [runner.encoder.prepare(cell) for cell in world.cells(8)]
    pixels = runner.encoder.collate(items)["pixels"].to(DEVICE)
    for size in (4,) if world.tiny else (64, 128, 256, 512):
        rows = torch.arange(size) % len(items)
        some, there = [items[row] for row in rows.tolist()], pixels[rows.to(DEVICE)]
        with world.trying("model alone"):
            rate = rate_of(size, runner.vectors, some, least=0.5)
            world.tell("model alone", batch=size, images_per_s=rate)
        with world.trying("tower alone"), torch.inference_mode():
            rate = rate_of(size, runner.encoder.tower, there, least=0.5)
            world.tell("tower alone", batch=size, precision=precision, images_per_s=rate)
    with world.trying("plain tower alone"):
        _plain_tower(world, folder)


def _feed(world: World, folder: str) -> float:
    """Return the step's images per second with a no-op model."""
    launch, load = EncoderRunner._launch, Embedder.load  # noqa: SLF001 - what costs

    def free(self: EncoderRunner[Any], items: Any) -> Any:
        self.encoder.collate(items)
        made = np.ones((len(items), self.dimension), np.float32)
        return lambda: made

    def loaded(self: Embedder, samples: Any = ()) -> None:
        load(self, samples)
        EncoderRunner._launch = free  # type: ignore[method-assign]  # noqa: SLF001

    Embedder.load = loaded  # type: ignore[method-assign]
    try:
        return float(step(world, "image_embedding", world.rows, model_id=folder)[0]["whole"])
    finally:
        EncoderRunner._launch, Embedder.load = launch, load  # type: ignore[method-assign]  # noqa: SLF001


def _plain_tower(world: World, folder: str) -> None:
    from transformers import CLIPVisionModelWithProjection  # noqa: PLC0415 - torch comes first

    dtype = torch.bfloat16
    tower = CLIPVisionModelWithProjection.from_pretrained(folder, dtype=dtype).eval().to(DEVICE)
    side = tower.config.image_size
    for size in (4,) if world.tiny else (128, 512):
        values = torch.randn(size, 3, side, side, device=DEVICE).to(dtype)
        with torch.inference_mode():
            rate = rate_of(size, tower, values, least=0.5)
        world.tell("transformers' tower alone", batch=size, images_per_s=rate)


class _Photos(torch.utils.data.Dataset):  # type: ignore[misc,type-arg]
    """Images as in clip-retrieval's loader: opened, and transformed by open_clip."""

    def __init__(self, cells: list[bytes], side: int) -> None:
        from torchvision import transforms  # noqa: PLC0415 - only where this loop runs

        self._cells = cells
        self._transform = transforms.Compose(
            [
                transforms.Resize(side, interpolation=transforms.InterpolationMode.BICUBIC),
                transforms.CenterCrop(side),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return len(self._cells)

    def __getitem__(self, row: int) -> Any:
        return self._transform(as_images([self._cells[row]])[0])


def loop(world: World, name: str) -> None:
    """Measure the usual loops: clip-retrieval's, and the plain one with transformers.

    clip-retrieval's is its `inference`: open_clip's transform in DataLoader workers, here one per
    core, batches of 256, fp32 weights under autocast.
    """
    from transformers import CLIPVisionModelWithProjection  # noqa: PLC0415 - torch comes first

    folder = world.model(name)
    tower = CLIPVisionModelWithProjection.from_pretrained(folder).eval().to(DEVICE)
    side, size = tower.config.image_size, 8 if world.tiny else 256
    with world.trying("clip-retrieval's loop"):
        loader = torch.utils.data.DataLoader(
            _Photos(world.cells(world.rows), side),
            batch_size=size,
            num_workers=1 if world.tiny else cpu_count(),
            pin_memory=ON_GPU,
            prefetch_factor=2,
        )
        times = [time.perf_counter()]
        for batch in loader:
            with torch.no_grad(), torch.autocast(DEVICE.type, torch.bfloat16):
                normalize(tower(pixel_values=batch.to(DEVICE)).image_embeds, dim=-1).cpu().numpy()
            times.append(time.perf_counter())
        first, last = len(times) // 4, len(times) - 1 - 2 * cpu_count()
        steady = (last - first) * size / (times[last] - times[first]) if last > first else None
        whole = world.rows / (times[-1] - times[0])
        world.tell("clip-retrieval's loop", workers=cpu_count(), whole=whole, steady=steady)
    if world.brief:
        return
    with world.trying("plain loop"):
        _plain_loop(world, tower, folder)


def _plain_loop(world: World, tower: Any, folder: Any) -> None:
    from transformers import AutoImageProcessor  # noqa: PLC0415 - torch comes first

    processor, size = AutoImageProcessor.from_pretrained(folder), 4 if world.tiny else 128
    tower = tower.to(torch.bfloat16)
    cells = world.cells(size)

    def batch() -> Any:
        pixels = processor(images=as_images(cells), return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            return tower(pixel_values=pixels.to(DEVICE, torch.bfloat16)).image_embeds.tolist()

    world.tell("plain loop", batch=size, images_per_s=rate_of(size, batch))
