"""Turning the records of a finished step into its manifest: the commit."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fondant_spec.dataset import storage
from fondant_spec.dataset.checkpoint import Record, count_rejects
from fondant_spec.dataset.field_mapping import evolve
from fondant_spec.dataset.manifest import Field, Manifest, Partition, merge
from fondant_spec.dataset.partitions import read_ids
from fondant_spec.errors import CardinalityError, RejectThresholdError
from fondant_spec.spec.types import type_from_json
from fondant_spec.worker.run_partition import GATHERED, WRITTEN
from fondant_spec.worker.step_context import Work

logger = logging.getLogger(__name__)


def commit(
    start: Manifest,
    work: Work,
    records: Sequence[Record],
    inputs: Sequence[Manifest],
    max_reject_share: float,
) -> Manifest:
    """Check the records of a step as a whole, write its manifest, and return it.

    Raises:
        RejectThresholdError: more rows failed than allowed.
        CardinalityError: an id comes in two partitions.
    """
    manifest = replace(
        start,
        rows_in=sum(r.rows_in for r in records if r.name != GATHERED),
        rejects=dict(count_rejects(records).most_common()),
        failed=sum(r.failed for r in records),
    )
    _check_threshold(manifest, work, records, max_reject_share)
    if records and records[-1].name == WRITTEN:
        manifest = _written(manifest, records[-1], inputs)
    else:
        manifest = _transformed(manifest, work, records, inputs)
    _sweep(work, records, manifest)
    manifest.write()
    return manifest


def _sweep(work: Work, records: Sequence[Record], manifest: Manifest) -> None:
    """Remove what an earlier attempt left and this one did not write again."""
    storage.remove(work.staged)
    wanted = {
        work.data: {p.name for p in manifest.partitions},
        work.rejects: {r.name for r in records if r.rejects},
        work.records: {r.name for r in records},
    }
    for folder, names in wanted.items():
        for file in storage.sizes(folder):
            if file.removesuffix(".parquet").removesuffix(".json") not in names:
                storage.remove(storage.join(folder, file))


def _written(manifest: Manifest, record: Record, inputs: Sequence[Manifest]) -> Manifest:
    """A write leaves the dataset as it was, which is that of the first branch."""
    dataset = inputs[0]
    return replace(
        manifest,
        index_location=dataset.index_location,
        partitions=dataset.partitions,
        fields=dataset.fields,
        artifacts=record.artifacts,
    )


def _transformed(
    manifest: Manifest,
    work: Work,
    records: Sequence[Record],
    inputs: Sequence[Manifest],
) -> Manifest:
    final = [r for r in records if r.name == GATHERED] or records
    partitions = tuple(partition for record in final for partition in record.partitions)
    _check_unique(partitions, work)
    keeps = inputs and work.spec.cardinality != "explodes"
    available = merge(list(inputs), work.where).fields if keeps else {}
    fields = evolve(work.spec, work.binding, available, work.data)
    types = _types(final)
    metadata = _metadata(records)
    for name in work.binding.output_names.values():
        fields[name] = Field(
            name, types.get(name, fields[name].type), work.data, metadata.get(name, {})
        )
    parent = work.spec.previous_index
    return replace(
        manifest,
        partitions=partitions,
        fields=fields,
        parent_field=work.binding.output_names.get(parent) if parent else None,
    )


def _types(records: Sequence[Record]) -> dict[str, pa.DataType]:
    """Return the types of the columns as written, for which empty partitions say little."""
    told = [r for r in records if r.rows] or list(records)
    if not told:
        return {}
    first, *others = told
    for other in others:
        if other.fields != first.fields:
            msg = (
                f"partitions {first.name} and {other.name} have columns of different types: "
                f"{first.fields} and {other.fields}; return the same types for every batch."
            )
            raise CardinalityError(msg)
    return {name: type_from_json(value, name) for name, value in first.fields.items()}


def _metadata(records: Sequence[Record]) -> Mapping[str, Mapping[str, Any]]:
    for record in records:
        if record.metadata:
            return record.metadata
    return {}


def _check_threshold(
    manifest: Manifest,
    work: Work,
    records: Sequence[Record],
    max_reject_share: float,
) -> None:
    """Refuse a result with too many failures; the partitions to blame are forgotten.

    So they are computed again once the cause is mended, and the others are kept.
    """
    if manifest.failed == 0:
        return
    share = manifest.failed / max(manifest.rows_in, 1)
    reasons = ", ".join(f"{reason} {count}" for reason, count in manifest.rejects.items())
    if share > max_reject_share:
        for record in records:
            if record.failed > max_reject_share * record.rows_in:
                storage.remove(storage.join(work.records, f"{record.name}.json"))
        msg = (
            f"{manifest.step_id}: {manifest.failed} of {manifest.rows_in} rows failed "
            f"({share:.0%}), more than max_reject_share {max_reject_share:.0%} allows. Reasons: "
            f"{reasons}. The rows are at {manifest.rejects_location}. Mend their cause, or allow a "
            "greater share, and run again."
        )
        raise RejectThresholdError(msg)
    logger.info("%s: %d rows failed (%s)", manifest.step_id, manifest.failed, reasons)


def _check_unique(partitions: Sequence[Partition], work: Work) -> None:
    """Make sure that no id comes twice, also across partitions.

    Each partition is known to be free of doubles, so ranges of ids that do not overlap settle it.
    """
    ranges = sorted((p.first_id, p.last_id) for p in partitions if p.rows)
    if all(a[1] < b[0] for a, b in pairwise(ranges)):  # type: ignore[operator]
        return
    ids = pa.chunked_array([read_ids(work.data, p.name) for p in partitions], pa.string())
    if pc.count_distinct(ids).as_py() == len(ids):
        return
    counts = pc.value_counts(ids.combine_chunks()).to_pylist()
    twice = next(entry for entry in counts if entry["counts"] > 1)
    msg = (
        f"{work.where}: id {twice['values']!r} comes {twice['counts']} times; ids must be unique "
        "over the whole dataset."
    )
    raise CardinalityError(msg)
