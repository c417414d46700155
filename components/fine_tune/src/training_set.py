"""The images for training and validation, encoded on disk, and how they are made from rows."""

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
from tensor_store import TensorStore
from text_vectors import TextVectors

from fondant_spec.cpu import cpu_count
from fondant_spec.dataset.rejects import Rejects
from image_toolkit.blank_texts import shown_once
from image_toolkit.images.decoding import decode_image, image_size
from image_toolkit.images.image_errors import NotAnImageError
from image_toolkit.training.bad_rows import BadRowError
from image_toolkit.training.linked_rows import SplitSides
from image_toolkit.training.row_repeats import repeats_of
from image_toolkit.training.splits import (
    REGULARIZATION,
    TRAIN,
    VALIDATION,
    split_of,
)

MOMENTS = "moments"
PIXELS = "pixels"


class Sample(NamedTuple):
    """An image. `key` identifies it in the store, `views` are those whose latents are cached there.

    Without views, its scaled pixels are cached, and each use crops a window of its own.
    """

    key: str
    frame: Frame
    views: tuple[View, ...]
    captions: tuple[str, ...]
    repeats: int = 1


@dataclass
class TrainingSet:
    """All samples, by split.

    `enlarged` is the number of images smaller than the training resolution, and `cut` that of
    truncated captions. `sides` lists the splits of images that belong together.
    """

    samples: Mapping[str, list[Sample]] = field(default_factory=lambda: {TRAIN: [], VALIDATION: []})
    enlarged: int = 0
    cut: int = 0
    sides: SplitSides = field(default_factory=SplitSides)

    @property
    def train(self) -> list[Sample]:
        """The images to train on."""
        return self.samples[TRAIN]

    @property
    def held_out(self) -> list[Sample]:
        """The images to validate with."""
        return self.samples[VALIDATION]

    def digest(self) -> str:
        """Return a hash of all samples: a checkpoint of other samples is not resumed."""
        return hashlib.sha256(json.dumps(self.samples).encode()).hexdigest()


class _Ready(NamedTuple):
    """A row with its decoded image, unless that is in the store already."""

    split: str
    sample: Sample
    pixels: Pixels | None


class TrainingSetMaker:
    """Converts rows to samples, a batch at a time; no more than that is in memory."""

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
                rows, captions = batch.to_pylist(), list[str]()
                for row, ready in zip(rows, pool.map(self._ready, rows), strict=True):
                    if isinstance(ready, _Ready):
                        self._keep(ready.sample, ready.pixels)
                        found.samples[ready.split].append(ready.sample)
                        captions += ready.sample.captions
                        found.enlarged += ready.sample.frame.enlarged
                        found.sides.add(row, ready.split)
                    elif ready is None:
                        rejects.filter(row["id"], REGULARIZATION, "an image of the class alone")
                    else:
                        rejects.add(row["id"], ready.reason, ready.message)
                found.cut += self._texts.add(captions)
        return found

    def _ready(self, row: Mapping[str, Any]) -> _Ready | BadRowError | NotAnImageError | None:
        """Return the prepared row, or its problem; None for a class image."""
        try:
            data = row["image"] or b""
            frame = self._framing.frame(image_size(data))
            captions = _captions(row)
            split = split_of(row, self._fraction)
            if split == REGULARIZATION:
                return None
            repeats = repeats_of(row) if split == TRAIN else 1
            sample = self._sample(data, split, frame)._replace(captions=captions, repeats=repeats)
            if sample.key in self._images:
                return _Ready(split, sample, None)
            return _Ready(split, sample, scaled(decode_image(data), frame))
        except (NotAnImageError, BadRowError) as error:
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


def _captions(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the captions of a row, the main one first.

    Raises:
        BadRowError: it has none.
    """
    captions = shown_once([row["caption"], *(row.get("more_captions") or [])])
    if not captions:
        raise BadRowError(reason="no_caption", message="the caption is null or blank")
    return captions
