# ruff: noqa: E402 - torch is prepared for transformers
"""How far two captioners get in the threads of one process, and in two processes.

    python benchmarks/side_by_side.py [--images 64]

A BLIP with 12 layers so narrow that its arithmetic is next to nothing: what is left is the Python
of generating, as on a GPU. Each captioner has one core. Rates are relative to one captioner alone.
"""

import argparse
import io
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # a core for each captioner, here and in other processes

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from image_toolkit.models.runtime.torch_setup import prepare_torch

prepare_torch()

from transformers import BertTokenizerFast, BlipConfig, BlipForConditionalGeneration
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

from image_toolkit.models.captioning.captioner import Captioner
from image_toolkit.models.captioning.captioner_process import side_by_side
from image_toolkit.models.captioning.generation import Generation
from image_toolkit.models.captioning.local_captioner import LocalCaptioner
from image_toolkit.models.runtime.device import Placement
from image_toolkit.models.runtime.hub import find_model
from image_toolkit.models.runtime.preparation import probe_images

ON_CPU = Placement(torch.device("cpu"), "fp32")
GENERATION = Generation(max_new_tokens=20, min_new_tokens=20, no_repeat_ngram_size=0)
NARROW = {
    "hidden_size": 24,
    "intermediate_size": 24,
    "num_hidden_layers": 12,
    "num_attention_heads": 2,
}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{n}" for n in range(95))]
BATCH = 4
ROUNDS = 3


def make_narrow_blip(folder: Path) -> Path:
    """Write a BLIP as deep as the base one, and next to nothing wide."""
    text = {**NARROW, "vocab_size": len(WORDS), "encoder_hidden_size": 24, "bos_token_id": 2}
    ends = {"eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0}
    vision = {**NARROW, "image_size": 32, "patch_size": 16}
    config = BlipConfig(text_config={**text, **ends}, vision_config=vision)
    BlipForConditionalGeneration(config).save_pretrained(folder)
    BlipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    BertTokenizerFast(vocab={word: at for at, word in enumerate(WORDS)}).save_pretrained(folder)
    return folder


def load(folder: Path, placement: Placement) -> LocalCaptioner:
    """Return a captioner."""
    return LocalCaptioner(find_model(str(folder)), placement, None)


def photos() -> list[bytes]:
    """Return a batch of images as JPEG files."""
    files = [io.BytesIO() for _ in range(BATCH)]
    for file, image in zip(files, probe_images(BATCH), strict=True):
        image.save(file, "JPEG")
    return [file.getvalue() for file in files]


def rate(captioners: Sequence[Captioner], images: int) -> float:
    """Return how many images a second the captioners caption together, in a thread each."""
    items = [captioners[0].prepare(photo) for photo in photos()]

    def work(captioner: Captioner) -> None:
        for start in range(0, images, BATCH):
            captioner.captions(items, [f"{start + n}" for n in range(BATCH)], GENERATION)

    with ThreadPoolExecutor(len(captioners)) as threads:
        list(threads.map(work, captioners))  # the first round is for warming up
        start = time.perf_counter()
        list(threads.map(work, captioners))
    return len(captioners) * images / (time.perf_counter() - start)


def best(captioners: Sequence[Captioner], images: int) -> float:
    """Return the best of a few rounds: other work only slows them down."""
    return max(rate(captioners, images) for _ in range(ROUNDS))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=64)
    images = parser.parse_args().images
    with tempfile.TemporaryDirectory() as temporary:
        start = partial(load, make_narrow_blip(Path(temporary)))
        alone = best([start(ON_CPU)], images)
        threads = best([start(ON_CPU), start(ON_CPU)], images)
        processes = side_by_side(start, [ON_CPU, ON_CPU])
        apart = best(processes, images)
        for process in processes:
            process.close()
    print(f"one captioner: {alone:.1f} images/s")
    print(f"two in the threads of one process: {threads / alone:.2f} times that")
    print(f"two in two processes: {apart / alone:.2f} times that")


if __name__ == "__main__":
    main()
