"""Runs an encoder on the devices of this machine: placed, checked against fp32, batch by batch."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock
from typing import Any, Final, Generic, TypeVar

import numpy as np

from fondant_spec.errors import InputDataError
from image_toolkit.models.embedding.embedders import Encoder, Vectors
from image_toolkit.models.embedding.engines import (
    Launched,
    choose_engine,
    exact_engine,
    pinned,
    start_engine,
)
from image_toolkit.models.runtime.batching import BatchSize, run_batch
from image_toolkit.models.runtime.checked_versions import check_same, with_private_parts
from image_toolkit.models.runtime.device import EXACT, Placement

logger = logging.getLogger(__name__)

Model = TypeVar("Model", bound=Encoder)

LEAST_COSINE: Final = 0.999
"""How close to fp32 a faster way of running a model has to stay."""


class EncoderRunner(Generic[Model]):
    """One encoder on one device."""

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
        self.encoder = encoder
        self._run = start_engine(self.engine, encoder.tower, placement, example)
        self._lock = Lock()
        self.dimension = int(self._run(example).shape[1])

    def __call__(self, items: Sequence[Any]) -> list[Vectors | None]:
        """Return one unit vector an item; None for an item that does not fit in the memory."""
        return self.launch(items).vectors()

    def launch(self, items: Sequence[Any]) -> "Embedding":
        """Have items embedded; a GPU is not waited for."""
        return Embedding(run_batch(items, self._places, self.size))

    def vectors(self, items: Sequence[Any]) -> Vectors:
        """Return unit vectors, float32 of shape (items, dimension)."""
        return self._launch(items)()

    def _places(self, items: Sequence[Any]) -> list[tuple[Launched, int]]:
        launched = self._launch(items)
        return [(launched, number) for number in range(len(items))]

    def _launch(self, items: Sequence[Any]) -> Launched:
        inputs = pinned(self.encoder.collate(items), self.placement)
        with self._lock:  # of two partitions, one gets its batch ready while the other's runs
            return self._run.launch(inputs)

    def __str__(self) -> str:
        """Return how the encoder is run, as it is logged."""
        return f"{self.placement} with {self.engine}"


class Embedding:
    """Items that are being embedded."""

    def __init__(self, places: Sequence[tuple[Launched, int] | None]) -> None:
        """Take where the vector of each item will be; None if it does not fit in the memory."""
        self._places = places

    def wait(self) -> None:
        """Wait until all is done."""
        for launched in dict.fromkeys(place[0] for place in self._places if place is not None):
            launched()

    def vectors(self) -> list[Vectors | None]:
        """Return one unit vector an item, once all are there; None for one that did not fit."""
        self.wait()
        return [place and place[0]()[place[1]] for place in self._places]


class TwoAtOnce(Generic[Model]):
    """Launches batches on one device, which has the next when it is done with one, and no more."""

    def __init__(self, runner: EncoderRunner[Model]) -> None:
        self._runner = runner
        self._before: Embedding | None = None

    def __call__(self, items: Sequence[Any]) -> Embedding:
        """Launch a batch, and wait for the one before."""
        before, self._before = self._before, self._runner.launch(items)
        if before is not None:
            before.wait()
        return self._before


def start_runners(
    make: Callable[[], Model],
    placements: Sequence[Placement],
    engine: str,
    size: Callable[[], BatchSize],
) -> list[EncoderRunner[Model]]:
    """Return one runner a device, each checked against fp32 on a few images or texts.

    A way of running the model whose vectors are further from those of fp32 than `LEAST_COSINE`
    allows is not used: a closer one is, and that is said.

    Raises:
        InputDataError: the model cannot be had, or its vectors are no numbers.
    """
    return with_private_parts(partial(_started, make, placements, engine, size))


def _started(
    make: Callable[[], Model],
    placements: Sequence[Placement],
    engine: str,
    size: Callable[[], BatchSize],
) -> list[EncoderRunner[Model]]:
    encoder = make()
    probes = encoder.probes()
    wanted = exact_engine(encoder.tower)(encoder.collate(probes))
    if not np.isfinite(wanted).all():
        msg = (
            f"Model {encoder.name!r}: its vectors are no finite numbers, in fp32 either. Its "
            f"weights are damaged: download it again, or choose another model."
        )
        raise InputDataError(msg)
    runners = [EncoderRunner(encoder, placements[0], engine, size())]
    runners += [EncoderRunner(make(), place, engine, size()) for place in placements[1:]]
    return [_unless_astray(runner, make, probes, wanted) for runner in runners]


def _unless_astray(
    runner: EncoderRunner[Model],
    make: Callable[[], Model],
    probes: Sequence[Any],
    wanted: Vectors,
) -> EncoderRunner[Model]:
    for closer in runner.placement.closer():
        cosine = _cosine(runner, probes, wanted)
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
        check_same(_cosine(runner, probes, wanted))
    return runner


def _cosine(runner: EncoderRunner[Model], probes: Sequence[Any], wanted: Vectors) -> float:
    return float((runner.vectors(probes) * wanted).sum(-1).min())
