"""The differences between two runs of a pipeline: settings, rows, rejects and values, by step."""

from collections.abc import Iterator
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from fondant_spec.dataset import storage
from fondant_spec.dataset.layout import PipelineFolder
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.dataset.partitions import read_batches
from fondant_spec.pipeline.explain import differences
from fondant_spec.pipeline.find_run import Run

_TOLD: Final = 3
"""How many ids are listed."""


def describe_diff(base_path: str, old: Run, new: Run) -> str:
    """Describe the differences between two runs.

    Values are compared for rows in both runs, in text, number and boolean fields that the step
    itself made.

    Raises:
        InvalidDatasetError: a file of a result is missing or broken.
    """
    before, after = _manifests(base_path, old), _manifests(base_path, new)
    lines = [f"from {old.pipeline} {old.id} to {new.pipeline} {new.id}"]
    for step in dict.fromkeys([*before, *after]):
        lines += _step_lines(step, before.get(step), after.get(step))
    return "\n".join(lines)


def _manifests(base_path: str, run: Run) -> dict[str, Manifest | None]:
    folder = PipelineFolder.of(base_path, run.pipeline)
    places = {step: folder.step(step, key).manifest for step, key in run.keys.items()}
    return {
        step: Manifest.read(place) if storage.exists(place) else None
        for step, place in places.items()
    }


def _step_lines(step: str, old: Manifest | None, new: Manifest | None) -> Iterator[str]:
    if old is None or new is None:
        missing = [name for name, one in (("first", old), ("second", new)) if one is None]
        yield f"{step}: no result in the {' and the '.join(missing)}"
        return
    if (old.cache_key, old.digest) == (new.cache_key, new.digest):
        yield f"{step}: the same, {new.rows:,} rows"
        return
    why = differences(old.key_parts, new.key_parts)
    if old.cache_key == new.cache_key:
        why = ["the same settings, made anew"]
    yield f"{step}: {'; '.join(why)}"
    yield from (f"  {line}" for line in _result_lines(old, new))


def _result_lines(old: Manifest, new: Manifest) -> Iterator[str]:
    if old.location == new.location:
        yield f"the later run wrote over it: {new.rows:,} rows"
        return
    tables = _compared(old), _compared(new)
    ids = [table.column("id") for table in tables]
    lost = ids[0].filter(pc.invert(pc.is_in(ids[0], value_set=ids[1])))
    come = ids[1].filter(pc.invert(pc.is_in(ids[1], value_set=ids[0])))
    yield f"rows {old.rows:,} -> {new.rows:,}{_named('gone', lost)}{_named('new', come)}"
    for reason in sorted({*old.rejects, *new.rejects}):
        counts = old.rejects.get(reason, 0), new.rejects.get(reason, 0)
        if counts[0] != counts[1]:
            yield f"rejects {reason}: {counts[0]:,} -> {counts[1]:,}"
    for name, changed, rows in _changed_values(*tables):
        yield f"{name}: another value in {changed:,} of {rows:,} rows"


def _named(word: str, ids: pa.ChunkedArray) -> str:
    if not len(ids):
        return ""
    some = ", ".join(ids.slice(0, _TOLD).to_pylist())
    return f", {len(ids):,} {word} ({some}{', ...' if len(ids) > _TOLD else ''})"


def _compared(manifest: Manifest) -> pa.Table:
    """Return the ids of a dataset, with the fields of its step that are cheap to compare."""
    fields = {field.name: field for field in manifest.own_fields if _is_scalar(field.type)}
    schema = pa.schema([("id", pa.string()), *((name, f.type) for name, f in fields.items())])
    batches = [
        batch
        for partition in manifest.partitions
        for batch in read_batches(fields, manifest.index_location, partition.name)
    ]
    return pa.Table.from_batches([batch.cast(schema) for batch in batches], schema)


def _is_scalar(kind: pa.DataType) -> bool:
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return is_text or bool(pa.types.is_primitive(kind))


def _changed_values(old: pa.Table, new: pa.Table) -> Iterator[tuple[str, int, int]]:
    """Yield name, changed rows and compared rows of each field that changed."""
    names = [name for name in old.column_names if name != "id" and name in new.column_names]
    places = pc.index_in(old.column("id"), value_set=new.column("id"))
    both = pc.is_valid(places)
    left, right = old.filter(both), new.take(places.filter(both))
    for name in names:
        changed = _count_different(left.column(name), right.column(name))
        if changed:
            yield name, changed, len(left)


def _count_different(left: pa.ChunkedArray, right: pa.ChunkedArray) -> int:
    if left.type != right.type:
        return len(left)
    differs = pc.fill_null(pc.not_equal(left, right), fill_value=False)
    one_null = pc.xor(pc.is_null(left, nan_is_null=True), pc.is_null(right, nan_is_null=True))
    both_null = pc.and_(pc.is_null(left, nan_is_null=True), pc.is_null(right, nan_is_null=True))
    return int(pc.sum(pc.and_not(pc.or_(differs, one_null), both_null)).as_py() or 0)
