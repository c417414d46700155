"""Run an encoder on this machine's devices: placed, checked against fp32, batch by batch."""

import gc
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from threading import Lock
from typing import Any, Final, Generic, TypeVar

import torch

from image_toolkit.models.embedding.embedders import Encoder, Vectors
from image_toolkit.models.embedding.engines import (
    Launched,
    choose_engine,
    pinned,
    start_engine,
)
from image_toolkit.models.embedding.judge import Judge
from image_toolkit.models.runtime.batch_trial import best_batch_size
from image_toolkit.models.runtime.batching import BatchSize, run_batch
from image_toolkit.models.runtime.checked_versions import check_same, with_private_parts
from image_toolkit.models.runtime.device import EXACT, Placement
from image_toolkit.models.runtime.device_use import DeviceUse
from image_toolkit.models.runtime.fitting import placing
from image_toolkit.models.runtime.layer_peaks import range_used

logger = logging.getLogger(__name__)

Model = TypeVar("Model", bound=Encoder)

FP16_ROOM: Final = 0.5
"""The share of fp16's range that a few inputs may use: others may go further."""

LEAST_COSINE: Final = 0.999
"""How close to fp32 a faster way of running a model must be."""


class EncoderRunner(Generic[Model]):
    """An encoder on a device."""

    def __init__(
        self,
        encoder: Model,
        placement: Placement,
        engine: str,
        size: BatchSize,
    ) -> None:
        example = encoder.collate(encoder.probes())
        self.placement = placement
        self.engine = choose_engine(engine, placement, example)
        self.size = size
        self.use = DeviceUse(placement)
        self.encoder = encoder
        with placing(encoder.name, encoder.tower, placement):
            self._run = start_engine(self.engine, encoder.tower, placement, example)
            self._lock = Lock()
            self.dimension = int(self._run(example).shape[1])

    def __call__(self, items: Sequence[Any]) -> list[Vectors | None]:
        """Return one unit vector per item; None for an item that does not fit in memory."""
        return self.launch(items).vectors()

    def launch(self, items: Sequence[Any]) -> "Embedding":
        """Start embedding items, without waiting for a GPU."""
        return Embedding(run_batch(items, self._places, self.size))

    def vectors(self, items: Sequence[Any]) -> Vectors:
        """Return unit vectors, float32, shape (items, dimension)."""
        return self._launch(items)()

    def _places(self, items: Sequence[Any]) -> list[tuple[Launched, int]]:
        launched = self._launch(items)
        return [(launched, number) for number in range(len(items))]

    def _launch(self, items: Sequence[Any]) -> Launched:
        inputs = pinned(self.encoder.collate(items), self.placement)
        # With two partitions, one prepares its batch while the other's runs.
        with self._lock, self.use.batch():
            try:
                return self._run.launch(inputs)
            except Exception as error:
                error.add_note(f"This was on {self.placement.device}.")  # which of several
                raise

    def find_batch_size(self) -> None:
        """Find the batch size by trial, for a GPU and unless a size was given."""
        example = self.encoder.collate(self.encoder.probes())
        count = len(next(iter(example.values())))

        def ready(size: int) -> Callable[[], Vectors]:
            rows = torch.arange(size) % count
            batch = {name: values[rows] for name, values in example.items()}
            return partial(self._run, pinned(batch, self.placement))

        self.size = BatchSize(best_batch_size(ready, self.placement))

    def __str__(self) -> str:
        """Return how the encoder runs, as it is logged."""
        return f"{self.placement} with {self.engine}"


class Embedding:
    """Items being embedded."""

    def __init__(self, places: Sequence[tuple[Launched, int] | None]) -> None:
        """Take the future place of each item's vector; None if it does not fit in memory."""
        self._places = places

    def wait(self) -> None:
        """Wait until all is done."""
        for launched in dict.fromkeys(place[0] for place in self._places if place is not None):
            launched()

    def vectors(self) -> list[Vectors | None]:
        """Wait, and return one unit vector per item; None for one that did not fit."""
        self.wait()
        return [place and place[0]()[place[1]] for place in self._places]


class TwoAtOnce(Generic[Model]):
    """Keeps up to two batches in flight on a device, so that it never waits for the next."""

    def __init__(self, runner: EncoderRunner[Model]) -> None:
        self._runner = runner
        self._before: Embedding | None = None

    def __call__(self, items: Sequence[Any]) -> Embedding:
        """Launch a batch, and wait for the previous one."""
        before, self._before = self._before, self._runner.launch(items)
        if before is not None:
            before.wait()
        return self._before


def start_runners(
    make: Callable[[], Model],
    placements: Sequence[Placement],
    engine: str,
    size: Callable[[], BatchSize],
    samples: Sequence[Any] = (),
) -> list[EncoderRunner[Model]]:
    """Return one runner per device, each checked against fp32 on a few images or texts.

    Of precisions with the same speed, the one closest to fp32 is used. If the vectors are further
    from those of fp32 than `LEAST_COSINE` allows, a more precise way is used instead, with a
    warning.

    Args:
        make: loads the encoder.
        placements: where it is to run.
        engine: what runs it; see `choose_engine`.
        size: makes the batch size of a runner.
        samples: cells of the user's data, by which a GPU is judged as well.

    Raises:
        InputDataError: the model cannot be loaded, does not fit, or its vectors are not finite.
    """
    return with_private_parts(partial(_started, make, placements, engine, size, samples))


def _started(
    make: Callable[[], Model],
    placements: Sequence[Placement],
    engine: str,
    size: Callable[[], BatchSize],
    samples: Sequence[Any],
) -> list[EncoderRunner[Model]]:
    encoder = make()
    judge = Judge.of(encoder, placements[0], samples)
    first = _closest(_Loads(make, engine, size, encoder), placements[0], judge)
    same = (replace(place, precision=first.placement.precision, others=()) for place in placements)
    others = [EncoderRunner(make(), place, engine, size()) for place in islice(same, 1, None)]
    return [_unless_astray(runner, make, judge) for runner in (first, *others)]


@dataclass
class _Loads(Generic[Model]):
    """Makes runners of an encoder; the first one takes what is already loaded."""

    make: Callable[[], Model]
    engine: str
    size: Callable[[], BatchSize]
    loaded: Model | None

    def at(self, placement: Placement) -> EncoderRunner[Model]:
        encoder, self.loaded = self.loaded, None
        if encoder is None:
            encoder = self.make()
        return EncoderRunner(encoder, placement, self.engine, self.size())


def _closest(loads: _Loads[Model], placement: Placement, judge: Judge) -> EncoderRunner[Model]:
    """Return the runner closest to fp32, of those that are as fast."""
    if not placement.others:
        return loads.at(placement)
    found: dict[Placement, float] = {}
    runner: EncoderRunner[Model] | None = None
    for one in placement.alike():
        runner = None
        gc.collect()  # two at once may not fit
        runner = loads.at(one)
        narrow = one.precision == "fp16" and not _range_used(runner, judge) <= FP16_ROOM
        found[one] = -1.0 if narrow else judge.cosine(runner.vectors)
        told = "ends too early for a layer" if narrow else f"cosine to fp32 {found[one]:.6f}"
        logger.info("%s: %s.", runner, told)
    best = max(reversed(found), key=lambda one: found[one])  # of equals, the one with more bits
    if runner is not None and best == runner.placement:
        return runner
    runner = None
    gc.collect()
    return loads.at(best)


def _unless_astray(
    runner: EncoderRunner[Model], make: Callable[[], Model], judge: Judge
) -> EncoderRunner[Model]:
    for closer in runner.placement.closer():
        cosine = judge.cosine(runner.vectors)
        if cosine >= LEAST_COSINE:
            logger.info("Runs on %s; cosine to fp32 is %.5f.", runner, cosine)
            break
        logger.warning(
            "%s strays from fp32: cosine %.5f, least allowed %s. Going on with %s and torch.",
            runner,
            cosine,
            LEAST_COSINE,
            closer,
        )
        runner = EncoderRunner(make(), closer, "torch", runner.size)
    if runner.placement.precision == EXACT and runner.engine == "torch":
        check_same(judge.cosine(runner.vectors))
    return runner


def _range_used(runner: EncoderRunner[Model], judge: Judge) -> float:
    return range_used(runner.encoder.tower, lambda: runner.vectors(judge.items))
