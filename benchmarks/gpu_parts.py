"""The parts of `gpu.py`, by name."""

from collections.abc import Callable

import torch

from benchmarks import gpu_captions, gpu_embedding, gpu_right
from benchmarks.gpu_world import DEVICE, ON_GPU, World, rate_of, wait
from image_toolkit.models.runtime.torch_setup import prepare_torch

MODELS = ["L14", "B32", "blip-base", "blip-large", "florence-base"]


def run(world: World) -> None:
    """Run the part that a world names."""
    prepare_torch()
    name, _, model = world.part.partition(":")
    if name == "world":
        world.make(24 if world.tiny else 480, MODELS)
    else:
        work = PARTS[name]
        work(world, model) if model else work(world)  # type: ignore[call-arg]


def machine(world: World) -> None:
    """Measure the GPU's rates of matrix multiplication and copying."""
    found = {"torch": torch.__version__, "cores": torch.get_num_threads()}
    if ON_GPU:
        found["card"] = torch.cuda.get_device_name(0)
    world.tell("machine", **found)
    side = 256 if world.tiny else 8192
    for dtype in (torch.bfloat16, torch.float16):
        left, right = (torch.randn(side, side, device=DEVICE).to(dtype) for _ in range(2))
        rate = rate_of(1, torch.matmul, left, right)
        world.tell("matmul", dtype=str(dtype), tflops=rate * 2 * side**3 / 1e12)
    one = torch.empty(2**20 if world.tiny else 2**32, dtype=torch.uint8, device=DEVICE)
    two = torch.empty_like(one)
    world.tell("copy on it", tb_per_s=rate_of(2 * len(one), two.copy_, one) / 1e12)
    host = torch.empty(2**20 if world.tiny else 2**27, dtype=torch.uint8)
    for kind, source in (("pageable", host), ("pinned", host.pin_memory() if ON_GPU else host)):
        there = torch.empty(len(host), dtype=torch.uint8, device=DEVICE)
        rate = rate_of(len(host), there.copy_, source, True)  # noqa: FBT003 - without waiting
        world.tell("copy to it", kind=kind, gb_per_s=rate / 1e9)
    wait()


PARTS: dict[str, Callable[..., None]] = {
    "machine": machine,
    "embedding": gpu_embedding.embedding,
    "loop": gpu_embedding.loop,
    "captions": gpu_captions.captions,
    "memory": gpu_right.memory,
    "right": gpu_right.right,
}
