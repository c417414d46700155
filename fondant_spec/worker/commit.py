"""The commit: building the manifest of a finished step from its checkpoints."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fondant_spec.dataset import storage
from fondant_spec.dataset.checkpoint import GATHERED, WRITTEN, Checkpoint, count_rejects
from fondant_spec.dataset.committed import artifact_digests, check_reject_share
from fondant_spec.dataset.layout import CHECKPOINT_ENDING, PARTITION_ENDING, StepFolder
from fondant_spec.dataset.manifest import Manifest, Partition
from fondant_spec.dataset.partitions import read_ids
from fondant_spec.dataset.reject_listing import count_reasons
from fondant_spec.errors import CardinalityError, RejectThresholdError
from fondant_spec.spec.types import type_from_json
from fondant_spec.worker.step_request import StepRequest

logger = logging.getLogger(__name__)


def commit(request: StepRequest, checkpoints: Sequence[Checkpoint], *, seconds: float) -> Manifest:
    """Check the checkpoints of a step as a whole, write its manifest, and return it.

    Raises:
        RejectThresholdError: more rows failed than allowed.
        CardinalityError: an id occurs in two partitions, or partitions do not fit together.
    """
    manifest = replace(
        request.manifest,
        rows_in=sum(c.rows_in for c in checkpoints if c.name != GATHERED),
        rejects=dict(count_rejects(checkpoints).most_common()),
        failed=sum(c.failed for c in checkpoints),
        seconds=round(max(seconds, _seconds_of(request.context.run_id, checkpoints)), 3),
    )
    _check_threshold(manifest, checkpoints, request.options.max_reject_share)
    if checkpoints and checkpoints[-1].name == WRITTEN:
        manifest = _written(manifest, checkpoints[-1], request.inputs[0])
    else:
        manifest = _transformed(manifest, request, checkpoints)
    request.check_inputs()
    request.context.check_lease()
    _sweep(request.resolved.folder, checkpoints, manifest)
    manifest.write(replaces=False)
    return manifest


def _seconds_of(run_id: str, checkpoints: Sequence[Checkpoint]) -> float:
    """Return the wall-clock time that a run spent on partitions, perhaps on many machines."""
    works = [one.work for one in checkpoints if one.run_id == run_id]
    if not works:
        return 0.0
    return (max(w.end for w in works) - min(w.begin for w in works)).total_seconds()


def _sweep(folder: StepFolder, checkpoints: Sequence[Checkpoint], manifest: Manifest) -> None:
    """Remove what an earlier attempt left and this one did not overwrite."""
    storage.remove(folder.staged)
    storage.remove(folder.pieces)
    storage.remove(folder.unfinished)
    storage.abort_uploads(folder.location)
    wanted = {
        folder.data: {p.name for p in manifest.partitions},
        folder.rejects: {c.name for c in checkpoints if c.rejects},
        folder.checkpoints: {c.name for c in checkpoints},
    }
    for place, names in wanted.items():
        for file in storage.sizes(place):
            if file.removesuffix(PARTITION_ENDING).removesuffix(CHECKPOINT_ENDING) not in names:
                storage.remove(storage.join(place, file))


def _written(manifest: Manifest, checkpoint: Checkpoint, dataset: Manifest) -> Manifest:
    """Return the manifest of a write: the dataset is unchanged, but a join needs its own index."""
    own = bool(checkpoint.partitions)
    return replace(
        manifest,
        index_location=manifest.index_location if own else dataset.index_location,
        partitions=checkpoint.partitions or dataset.partitions,
        artifacts=checkpoint.artifacts,
        artifact_sha256=artifact_digests(checkpoint.artifacts),
    )


def _transformed(
    manifest: Manifest, request: StepRequest, checkpoints: Sequence[Checkpoint]
) -> Manifest:
    spec, mapping = request.spec, request.context.mapping
    final = [c for c in checkpoints if c.name == GATHERED] or checkpoints
    partitions = tuple(partition for checkpoint in final for partition in checkpoint.partitions)
    _check_unique(partitions, request)
    types, metadata = _types(final), _metadata(checkpoints)
    made = {
        name: replace(
            manifest.fields[name],
            type=types.get(name, manifest.fields[name].type),
            metadata=metadata.get(name, {}),
        )
        for name in mapping.output_names.values()
    }
    parent = spec.previous_index
    return replace(
        manifest,
        partitions=partitions,
        fields={**manifest.fields, **made},
        parent_field=mapping.output_names.get(parent) if parent else None,
    )


def _types(checkpoints: Sequence[Checkpoint]) -> dict[str, pa.DataType]:
    """Return the types of the columns as written; empty partitions contribute little."""
    filled = [c for c in checkpoints if c.rows] or list(checkpoints)
    if not filled:
        return {}
    first, *others = filled
    for other in others:
        if other.fields != first.fields:
            msg = (
                f"partitions {first.name} and {other.name} have columns of different types: "
                f"{first.fields} and {other.fields}; return the same types for every batch."
            )
            raise CardinalityError(msg)
    return {name: type_from_json(value, name) for name, value in first.fields.items()}


def _metadata(checkpoints: Sequence[Checkpoint]) -> Mapping[str, Mapping[str, Any]]:
    """Return the metadata of the fields, which must be the same in all partitions."""
    if not checkpoints:
        return {}
    first, *others = [c for c in checkpoints if c.metadata] or checkpoints
    for other in others:
        if other.metadata and other.metadata != first.metadata:
            msg = (
                f"partitions {first.name} and {other.name} were made by different things: "
                f"{first.metadata} and {other.metadata}; run the step again with cache=False."
            )
            raise CardinalityError(msg)
    return first.metadata


def _check_threshold(
    manifest: Manifest, checkpoints: Sequence[Checkpoint], max_reject_share: float
) -> None:
    """Reject a result with too many failures, and drop the checkpoints of the failed partitions.

    They are then computed again once the cause is fixed, while all others are kept.
    """
    if not manifest.rejects:
        return
    folder = StepFolder(manifest.folder)
    try:
        check_reject_share(manifest, max_reject_share)
    except RejectThresholdError:
        for checkpoint in checkpoints:
            if checkpoint.failed > max_reject_share * checkpoint.rows_in:
                checkpoint.remove(folder.checkpoints)
        raise
    told = count_reasons(folder.rejects).describe()
    logger.info("%s: %d rows in, %s", manifest.step_id, manifest.rows_in, told)


def _check_unique(partitions: Sequence[Partition], request: StepRequest) -> None:
    """Check that no id is duplicated across partitions.

    Each partition is known to be free of duplicates, so disjoint ranges of ids suffice.
    """
    ranges = sorted((str(p.first_id), str(p.last_id)) for p in partitions if p.rows)
    if all(a[1] < b[0] for a, b in pairwise(ranges)):
        return
    data = request.resolved.folder.data
    ids = pa.chunked_array([read_ids(data, p.name) for p in partitions], pa.string())
    if pc.count_distinct(ids).as_py() == len(ids):
        return
    counts = pc.value_counts(ids.combine_chunks()).to_pylist()
    twice = next(entry for entry in counts if entry["counts"] > 1)
    msg = (
        f"{request.context.step_id}: id {twice['values']!r} comes {twice['counts']} times; ids "
        "must be unique over the whole dataset."
    )
    raise CardinalityError(msg)
