"""The images to train on and to validate with, as they lie on disk, and how they got there."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from framing import Frame, Framing, Pixels, View, middle, scaled
from latent_encoder import LatentEncoder
from row_faults import RowFaultError
from row_texts import captions_of, repeats_of, split_of
from tensor_store import TensorStore
from text_vectors import TextVectors

from fondant_spec.cpu import cpu_count
from fondant_spec.dataset.rejects import Rejects
from image_toolkit.images.decoding import decode_image, image_size
from image_toolkit.images.image_errors import NotAnImageError
from image_toolkit.training.splits import TRAIN, VALIDATION

MOMENTS = "moments"
PIXELS = "pixels"


class Sample(NamedTuple):
    """An image. `key` names it in the store, `views` are those whose latents are kept there.

    Without views, its scaled pixels are kept, and each look at it cuts a window of its own.
    """

    key: str
    frame: Frame
    views: tuple[View, ...]
    captions: tuple[str, ...]
    repeats: int = 1


@dataclass
class TrainingSet:
    """All samples, by split; `enlarged` is how many images are smaller than they are trained at."""

    samples: Mapping[str, list[Sample]] = field(default_factory=lambda: {TRAIN: [], VALIDATION: []})
    enlarged: int = 0

    @property
    def train(self) -> list[Sample]:
        """The images to train on."""
        return self.samples[TRAIN]

    @property
    def held_out(self) -> list[Sample]:
        """The images to validate with."""
        return self.samples[VALIDATION]

    def digest(self) -> str:
        """Return a hash of all samples: what was trained on others goes on with none of these."""
        return hashlib.sha256(json.dumps(self.samples).encode()).hexdigest()


class _Ready(NamedTuple):
    """A row whose image is decoded, if it is not in the store already."""

    split: str
    sample: Sample
    pixels: Pixels | None


class TrainingSetMaker:
    """Makes samples of rows, a batch at a time; no more than that is in memory."""

    def __init__(
        self,
        *,
        framing: Framing,
        validation_fraction: float,
        seed: int,
        images: TensorStore,
        encoder: LatentEncoder,
        texts: TextVectors,
    ) -> None:
        self._framing = framing
        self._fraction = validation_fraction
        self._seed = seed
        self._images = images
        self._encoder = encoder
        self._texts = texts

    def made(self, batches: Iterable[pa.RecordBatch], rejects: Rejects) -> TrainingSet:
        """Return the samples of all rows; those that cannot be trained on are rejected."""
        found = TrainingSet()
        with ThreadPoolExecutor(cpu_count()) as pool:
            for batch in batches:
                rows = batch.to_pylist()
                for row, ready in zip(rows, pool.map(self._ready, rows), strict=True):
                    if isinstance(ready, _Ready):
                        self._keep(ready.sample, ready.pixels)
                        found.samples[ready.split].append(ready.sample)
                        found.enlarged += ready.sample.frame.enlarged
                    else:
                        rejects.add(row["id"], ready.reason, ready.message)
                added = (one for some in found.samples.values() for one in some[-len(rows) :])
                self._texts.add(caption for sample in added for caption in sample.captions)
        return found

    def _ready(self, row: Mapping[str, Any]) -> _Ready | RowFaultError | NotAnImageError:
        try:
            data = row["image"] or b""
            frame = self._framing.frame(image_size(data))
            captions, split = captions_of(row), split_of(row, self._fraction)
            repeats = repeats_of(row) if split == TRAIN else 1
            sample = self._sample(data, split, frame)._replace(captions=captions, repeats=repeats)
            if sample.key in self._images:
                return _Ready(split, sample, None)
            return _Ready(split, sample, scaled(decode_image(data), frame))
        except (NotAnImageError, RowFaultError) as error:
            return error

    def _sample(self, data: bytes, split: str, frame: Frame) -> Sample:
        digest = hashlib.sha256(data).digest()
        draw = np.random.default_rng([self._seed, *digest])
        if split == VALIDATION:
            views = [middle(frame)]
        elif self._framing.crops_anew and frame.spare != (0, 0):
            views = []
        else:
            views = self._framing.kept_views(frame, draw)
        key = json.dumps([digest.hex(), frame, views])
        return Sample(key, frame, tuple(views), ())

    def _keep(self, sample: Sample, pixels: Pixels | None) -> None:
        if pixels is None:
            return
        if sample.views:
            windows = [view.of(pixels, sample.frame.window) for view in sample.views]
            kept = {MOMENTS: torch.cat([self._encoder.moments([w]) for w in windows])}
        else:
            kept = {PIXELS: torch.from_numpy(pixels.copy())}
        self._images.put(sample.key, kept)
