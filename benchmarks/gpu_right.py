"""Whether what a card makes is right, and what happens when its memory ends."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import normalize

from benchmarks.gpu_steps import step
from benchmarks.gpu_world import DEVICE, ON_GPU, World, as_images
from fondant_spec.errors import InputDataError
from fondant_spec.testing import read_rejects, read_table
from image_toolkit.models.captioning.generation import Generation
from image_toolkit.models.captioning.local_captioner import LocalCaptioner
from image_toolkit.models.embedding.embedders import image_encoder
from image_toolkit.models.embedding.embedding_stream import Embedder
from image_toolkit.models.runtime.device import Placement
from image_toolkit.models.runtime.hub import find_model

BLIP = Path(__file__).parents[1] / "demo" / "models" / "blip"
CPU = torch.device("cpu")


def right(world: World) -> None:
    """Compare vectors, and the captions of a model that is trained, with fp32 on the CPU."""
    with world.trying("vectors"):
        _vectors(world)
    if world.brief:
        return
    with world.trying("captions"):
        _captions(world)


def _vectors(world: World) -> None:
    from transformers import AutoImageProcessor, CLIPVisionModelWithProjection  # noqa: PLC0415

    folder, count = world.model("B32"), 8 if world.tiny else 128
    _, made = step(world, "image_embedding", count, model_id=folder)
    ours = np.stack(read_table(made).column("embedding").to_numpy(zero_copy_only=False))
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    pixels = processor(images=as_images(world.cells(count)), return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        plain = CLIPVisionModelWithProjection.from_pretrained(folder).eval()
        wanted = normalize(plain(pixel_values=pixels).image_embeds, dim=-1).numpy()
    cosine = (ours * wanted).sum(-1)
    world.tell("vectors", images=count, min_cosine=float(cosine.min()))


def _captions(world: World) -> None:
    """Count the captions of the demo's BLIP that are the CPU's, for each way of generating."""
    files = find_model(str(BLIP))
    exact = LocalCaptioner(files, Placement(CPU, "fp32"), None)
    items = [exact.prepare(cell) for cell in world.cells(16 if world.tiny else 256)]
    ids = [str(row) for row in range(len(items))]
    ways = {
        "greedy": Generation(max_new_tokens=20, no_repeat_ngram_size=0),
        "defaults": Generation(max_new_tokens=20),
        "4 beams": Generation(max_new_tokens=20, num_beams=4),
        "penalty": Generation(max_new_tokens=20, repetition_penalty=1.3),
        "sampled": Generation(max_new_tokens=20, sample=True),
    }
    wanted = {way: exact.captions(items, ids, settings) for way, settings in ways.items()}
    for precision in ("fp32", "fp16", "bf16") if ON_GPU else ("fp32",):
        own = LocalCaptioner(files, Placement(DEVICE, precision), None)
        for way, settings in ways.items():
            made = own.captions(items, ids, settings)
            same = sum(a == b for a, b in zip(made, wanted[way], strict=True)) / len(items)
            world.tell("captions", precision=precision, way=way, equal=same)


def memory(world: World) -> None:
    """Ask for batches that no card holds, and for a model where hardly anything is free."""
    rows = 32 if world.tiny else 2000
    ways = {
        "image_embedding": {"model_id": world.model("L14")},
        "caption_images": {"model_id": world.model("blip-base"), "max_new_tokens": 8},
    }
    for name, arguments in ways.items():
        with world.trying(name):
            if ON_GPU:
                torch.cuda.set_per_process_memory_fraction(0.08)
            found, made = step(world, name, rows, batch_size=100_000, **arguments)
            lost = len(read_rejects(made))
            world.tell(f"{name}, batch_size 100,000", lost=lost, **found)
    with world.trying("a model that does not fit"):
        if ON_GPU:
            torch.cuda.set_per_process_memory_fraction(0.002)
        try:
            Embedder(partial(image_encoder, str(world.model("L14")))).load()
            world.tell("a model that does not fit", told="it did" if not ON_GPU else "NOTHING")
        except InputDataError as error:
            world.tell("a model that does not fit", told=str(error))
