"""The crops that the tiny models are trained and measured on."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from PIL import Image

from demo import crops
from demo.photos import PHOTOS, SUBJECTS

WORKERS = 2
CHUNK = 64
LONG_SIDES = (96, 256)  # pixels; the models see far fewer
PROMPT = "a photo of {}"


@dataclass(frozen=True)
class Sample:
    """A rendered crop: the image, its subject and its true caption."""

    image: Image.Image
    subject: str
    caption: str


def samples(split: crops.Split, count: int, seed: int) -> list[Sample]:
    """Return `count` crops of `split`, cycling through the subjects; deterministic for a seed."""
    tasks = [(split, start, min(start + CHUNK, count), seed) for start in range(0, count, CHUNK)]
    with ProcessPoolExecutor(WORKERS, get_context("spawn")) as pool:
        return [sample for chunk in pool.map(_chunk, tasks) for sample in chunk]


def every_caption() -> list[str]:
    """Return every possible caption and every plain prompt, sorted."""
    texts = {PROMPT.format(subject) for subject in SUBJECTS} | set(SUBJECTS)
    for photo in PHOTOS:
        for view in crops.VIEWS:
            for style in crops.STYLES:
                for mirrored in (False, True):
                    box = (0.0, 0.0, 1.0, 1.0)
                    crop = crops.Crop(photo.subject, box, view, mirrored, style, 1.0, 1.0, 0.0)
                    texts.add(crop.caption)
    return sorted(texts)


def _chunk(task: tuple[crops.Split, int, int, int]) -> list[Sample]:
    split, start, stop, seed = task
    return [_sample(split, index, seed) for index in range(start, stop)]


def _sample(split: crops.Split, index: int, seed: int) -> Sample:
    rng = np.random.default_rng((seed, index))
    crop = crops.draw(rng, SUBJECTS[index % len(SUBJECTS)], split)
    image = crops.render(crop, int(rng.integers(*LONG_SIDES)), rng)
    return Sample(image, crop.subject, crop.caption)


def batches(count: int, size: int, steps: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield `steps` arrays of `size` row numbers below `count`, each epoch in a new order."""
    order = np.empty(0, np.int64)
    for _ in range(steps):
        if len(order) < size:
            order = np.concatenate([order, rng.permutation(count)])
        yield order[:size]
        order = order[size:]
