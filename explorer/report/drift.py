"""The distance between seed images, retrieved images and the final dataset, by their vectors."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from explorer.nearest import holds_vectors, vector_field
from fondant_spec.dataset.history import History
from fondant_spec.dataset.manifest import Field, Manifest
from fondant_spec.dataset.partitions import read_batches
from image_toolkit.retrieval.search.vectors import list_column
from image_toolkit.vector_drift import MOST, Drift, drift_between

_MODEL: Final = ("model_id", "revision", "modality")


@dataclass(frozen=True)
class Set:
    """The vectors of a dataset: the step that wrote it, and their number."""

    step: str
    vectors: int


@dataclass(frozen=True)
class Comparison:
    """The distance between the vectors of two steps."""

    one: str
    other: str
    drift: Drift


@dataclass(frozen=True)
class Drifts:
    """The vectors of one model at each step, and the distance between each pair of steps."""

    model: str
    sets: tuple[Set, ...]
    comparisons: tuple[Comparison, ...]


def drifts_of(history: History) -> Drifts | None:
    """Return the distances between the steps' vectors; None if fewer than two steps have any."""
    *before, last = history.steps
    own = vector_field(last)
    reference = own or next(filter(None, map(vector_field, reversed(before))), None)
    if reference is None:
        return None
    found: dict[str, tuple[int, NDArray[np.float32]]] = {}
    for one in before:
        for field in one.own_fields:
            if _is_like(field, reference):
                found[one.step_id] = _sample(one, field)
    if own is not None and (own.location != last.data_location or last.step_id not in found):
        rows, vectors = _sample(last, own)
        if rows not in {count for count, _ in found.values()}:
            found[last.step_id] = rows, vectors
    found = {step: one for step, one in found.items() if len(one[1]) > 1}
    if len(found) < 2:  # noqa: PLR2004
        return None
    return Drifts(
        str(reference.metadata.get("model_id", "unknown")),
        tuple(Set(step, rows) for step, (rows, _) in found.items()),
        tuple(
            Comparison(one, other, drift_between(found[one][1], found[other][1]))
            for one, other in combinations(found, 2)
        ),
    )


def _is_like(field: Field, reference: Field) -> bool:
    same = holds_vectors(field) and field.type == reference.type
    return same and all(field.metadata.get(k) == reference.metadata.get(k) for k in _MODEL)


def _sample(manifest: Manifest, field: Field) -> tuple[int, NDArray[np.float32]]:
    """Return the number of vectors, and a uniform random sample of them.

    Reservoir sampling: no more vectors are held in memory than are sampled.
    """
    generator = np.random.default_rng(0)
    kept: list[NDArray[np.float32]] = []
    seen = 0
    for vector in _vectors(manifest, field):
        seen += 1
        if len(kept) < MOST:
            kept.append(vector)
        elif (place := int(generator.integers(seen))) < MOST:
            kept[place] = vector
    return seen, np.stack(kept) if kept else np.empty((0, 0), np.float32)


def _vectors(manifest: Manifest, field: Field) -> Iterator[NDArray[np.float32]]:
    dimension = 0
    for partition in manifest.partitions:
        for batch in read_batches({"v": field}, manifest.index_location, partition.name):
            found = batch.column("v").drop_null()
            if len(found):
                dimension = dimension or len(found[0])
                vectors = list_column(found, dimension, f"field {field.name!r}")
                finite = np.isfinite(vectors).all(axis=1) & vectors.any(axis=1)
                yield from vectors[finite]
