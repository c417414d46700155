"""Embedding as a stream: rows in, vectors out; shared by the embedding components."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa

from fondant_spec.dataset.rejects import Rejects
from image_toolkit.models.embedding.embedders import Encoder, Vectors
from image_toolkit.models.runtime.batching import BatchSize, check_asked
from image_toolkit.models.runtime.device import devices, place
from image_toolkit.models.runtime.feed import Feed, prepared
from image_toolkit.models.runtime.feed_groups import Group
from image_toolkit.models.runtime.feed_rows import rows_of
from image_toolkit.models.runtime.model_runner import (
    Embedding,
    EncoderRunner,
    TwoAtOnce,
    start_runners,
)
from image_toolkit.models.runtime.preparation import PixelPreparation
from image_toolkit.models.runtime.preparing_processes import (
    PreparingProcesses,
    preparing_processes,
)
from image_toolkit.models.runtime.spread import delayed, spread

_BATCH: Final = 32
"""On a CPU; on a GPU, before the trials."""

_GROUPS_AHEAD: Final = 2
"""Per partition being fed and per GPU, in addition to the one in progress."""


class Embedder:
    """Embeds the cells of a column with a model that is loaded once per device."""

    def __init__(
        self,
        make: Callable[[], Encoder],
        *,
        device: str = "auto",
        precision: str = "auto",
        engine: str = "auto",
        most: int = 0,
    ) -> None:
        check_asked(most)
        self._make = make
        self._placements = [place(one, precision) for one in devices(device)]
        self._engine = engine
        self._most = most
        self._runners: list[EncoderRunner[Encoder]] = []
        self._feed: Feed[Any] | None = None
        self._processes: PreparingProcesses | None = None

    def load(self, samples: Sequence[Any] = ()) -> None:
        """Load the model, once per device, and start the preparation of its inputs.

        `samples` are a few of the cells to come: on a GPU, they determine the precision.

        Raises:
            InputDataError: the model cannot be loaded, or does not fit.
        """
        on_gpu = self._placements[0].is_cuda
        size = partial(BatchSize, self._most or _BATCH)
        self._runners = start_runners(
            self._made, self._placements, self._engine, size, [one for one in samples if one]
        )
        if on_gpu and not self._most:
            for runner in self._runners:
                runner.find_batch_size()
        for runner in self._runners:
            runner.use.begin()
        first = self._runners[0]
        prepare = first.encoder.prepare
        self._feed = Feed(
            lambda row, slot: prepared(prepare, row, slot),
            lambda: first.size.now,
            ahead=_GROUPS_AHEAD * len(self._runners) if on_gpu else 0,
            into=[prepare],
            pinned=on_gpu,
            processes=self._processes,
        )

    def _made(self) -> Encoder:
        """Load the encoder; if it takes pixels, start the preparing processes meanwhile."""
        encoder = self._make()
        if self._processes is None and isinstance(encoder.prepare, PixelPreparation):
            self._processes = preparing_processes(on_gpu=self._placements[0].is_cuda)
        return encoder

    @property
    def partitions_at_once(self) -> int:
        """The number of partitions to embed concurrently."""
        assert self._feed is not None, "load() comes first"  # noqa: S101
        return self._feed.partitions_at_once

    @property
    def encoder(self) -> Encoder:
        """The encoder on the first device."""
        return self._runners[0].encoder

    def batches(
        self,
        batches: Iterator[pa.RecordBatch],
        column: str,
        rejects: Rejects,
    ) -> Iterator[pa.RecordBatch]:
        """Yield `id` and `embedding` of the rows whose cell in `column` can be embedded."""
        assert self._feed is not None, "load() comes first"  # noqa: S101
        workers = [partial(_launch, TwoAtOnce(runner)) for runner in self._runners]
        groups = self._feed.groups(rows_of(batches, column), rejects)
        behind = 1 if self._placements[0].is_cuda else 0
        for group, embedding in delayed(spread(workers, groups), behind):
            vectors = embedding.vectors()
            sound: dict[str, Vectors] = {}
            for row, vector in zip(group.rows, vectors, strict=True):
                if vector is None:
                    rejects.add(row.id, "out_of_memory", "does not fit even alone")
                elif not np.isfinite(vector).all():
                    rejects.add(row.id, "bad_embedding", "what the model makes of it is no number")
                else:
                    sound[row.id] = vector
            yield vector_batch([*sound], [*sound.values()], self._runners[0].dimension)

    def metadata(self, modality: str) -> dict[str, Any]:
        """Return the field metadata for the vectors."""
        first = self._runners[0]
        return {
            "model_id": first.encoder.name,
            "revision": first.encoder.revision,
            "weights": first.encoder.weights,
            "dimension": first.dimension,
            "normalised": True,
            "modality": modality,
            "precision": first.placement.precision,
            "engine": first.engine,
        }

    def close(self) -> None:
        """Stop the preparation of inputs, and log the GPU utilisation."""
        if self._feed is not None:
            self._feed.close()
        elif self._processes is not None:
            self._processes.close()
        for runner in self._runners:
            runner.use.tell()


def vector_batch(
    ids: Sequence[str],
    vectors: Sequence[Vectors],
    dimension: int,
) -> pa.RecordBatch:
    """Return ids and their vectors as a record batch, the vectors as fixed-size lists."""
    values = np.concatenate([np.empty(0, np.float32), *vectors])
    lists = pa.FixedSizeListArray.from_arrays(pa.array(values, pa.float32()), dimension)
    return pa.record_batch([pa.array(ids, pa.string()), lists], names=["id", "embedding"])


def _launch(launch: TwoAtOnce[Encoder], group: Group[Any]) -> Embedding:
    return launch(group.items)
