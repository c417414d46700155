"""The captioning step on a card, beside its own captioner and the loops of others."""

from itertools import product
from typing import Any

import torch

from benchmarks.gpu_steps import step
from benchmarks.gpu_world import DEVICE, ON_GPU, World, as_images, rate_of
from image_toolkit.models.captioning.generation import Generation
from image_toolkit.models.captioning.local_captioner import LocalCaptioner
from image_toolkit.models.runtime.device import Placement
from image_toolkit.models.runtime.hub import find_model

DTYPE = torch.bfloat16 if ON_GPU else torch.float32


def captions(world: World, name: str) -> None:
    """Measure the step, the captioner alone, and what people write with transformers."""
    tokens = 6 if world.tiny else 20
    equal = Generation(max_new_tokens=tokens, min_new_tokens=tokens, no_repeat_ngram_size=0)
    words = {"max_new_tokens": tokens, "min_new_tokens": tokens, "no_repeat_ngram_size": 0}
    rows = 32 if world.tiny else 4096
    folder = world.model(name)
    with world.trying("step"):
        found, made = step(
            world, "caption_images", rows, model_id=folder, retry_poor="false", **words
        )
        precision = made.fields["caption"].metadata["precision"]
        world.tell("step", precision=precision, tokens=tokens, **found)
    if name == "blip-base":
        with world.trying("step at its defaults"):
            most = {"max_new_tokens": 8} if world.tiny else {}
            found, _ = step(
                world, "caption_images", rows, model_id=folder, retry_poor="false", **most
            )
            world.tell("step at its defaults", **found)
    if world.brief:
        return
    placement = Placement(DEVICE, "bf16" if ON_GPU else "fp32")
    captioner = LocalCaptioner(find_model(str(folder)), placement, None)
    cells = world.cells(256)
    prepared = [captioner.prepare(cell) for cell in cells[:16]]
    ways = {"equal": equal, "defaults": Generation(max_new_tokens=8 if world.tiny else 50)}
    for size, way in product((2,) if world.tiny else (32, 128, 256), ways):
        items = [prepared[row % len(prepared)] for row in range(size)]
        ids = [str(row) for row in range(size)]
        with world.trying("captioner alone"):
            rate = rate_of(size, captioner.captions, items, ids, ways[way])
            world.tell("captioner alone", batch=size, way=way, images_per_s=rate)
    inputs = captioner._intake.arrived(captioner._intake.collate(prepared[:2]))  # noqa: SLF001 - the same
    with world.trying("transformers"):
        _transformers(world, folder, inputs, tokens)


def _transformers(world: World, folder: Any, inputs: Any, tokens: int) -> None:
    """Measure `generate` on inputs that lie there, and the loop around it."""
    from transformers import AutoImageProcessor, AutoModelForImageTextToText  # noqa: PLC0415

    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=DTYPE).eval().to(DEVICE)
    settings = {"max_new_tokens": tokens, "min_new_tokens": tokens, "do_sample": False}
    prompt = {key: value[:1] for key, value in inputs.items() if key != "pixel_values"}
    pixels = inputs["pixel_values"][:1].to(DEVICE, DTYPE)

    def generate(values: torch.Tensor) -> Any:
        asked = {key: value.to(DEVICE).repeat(len(values), 1) for key, value in prompt.items()}
        with torch.inference_mode():
            return model.generate(pixel_values=values, **asked, **settings, num_beams=1)

    for size in (2,) if world.tiny else (32, 128, 256):
        values = pixels.repeat(size, 1, 1, 1)
        rate = rate_of(size, generate, values)
        world.tell("transformers' generate alone", batch=size, images_per_s=rate)
    processor = AutoImageProcessor.from_pretrained(folder)

    def loop(cells: list[bytes], where: Any) -> Any:
        made = processor(images=as_images(cells), return_tensors="pt", device=where)
        return generate(made["pixel_values"].to(DEVICE, DTYPE)).tolist()

    for size, where in (
        ((2, "cpu"),) if world.tiny else ((128, "cpu"), (128, DEVICE), (256, DEVICE))
    ):
        with world.trying("plain loop"):
            rate = rate_of(size, loop, world.cells(size), where)
            world.tell("plain loop", batch=size, prepared_on=str(where), images_per_s=rate)
