"""Describing a dataset for people: its fields, its rejects, and the lineage of a row."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from fondant_spec.dataset.disk_space import disk_use
from fondant_spec.dataset.layout import partition_file
from fondant_spec.dataset.manifest import Field, Manifest
from fondant_spec.dataset.partitions import open_partition
from fondant_spec.dataset.reject_listing import find_reject, reject_line
from fondant_spec.dataset.resolution import by_root
from fondant_spec.errors import InvalidArgumentError, InvalidDatasetError
from fondant_spec.plain_words import size

_LONGEST: Final = 120


def origin(manifest: Manifest) -> str:
    """Describe which pipeline, step and run made a dataset, and under which cache key."""
    made = f"run {manifest.run_id}, key {manifest.cache_key}"
    return f"{manifest.pipeline_name}/{manifest.step_id} ({made})"


def describe(manifest: Manifest) -> str:
    """Summarise a dataset: rows, fields with the steps that made them, rejects by reason."""
    lines = [
        f"manifest  {manifest.location}",
        f"rows      {manifest.rows:,} in {len(manifest.partitions):,} partitions",
        f"disk      {size(disk_use(manifest.folder))}",
        "fields",
    ]
    width = max(map(len, manifest.fields), default=0)
    for name, field in manifest.fields.items():
        lines.append(f"  {name.ljust(width)}  {field.type}  {_told(field)}".rstrip())
    lines.append("rejects" if manifest.rejects else "rejects   none")
    lines += [f"  {reason}  {count:,}" for reason, count in manifest.rejects.items()]
    lines += [f"artifact  {path}" for path in manifest.artifacts]
    return "\n".join(lines)


def lineage(manifest: Manifest, row_id: str) -> str:
    """Describe a row, step by step, back to where it came from.

    For a row that is not in the dataset because this or an earlier step rejected it, it says so.

    Raises:
        InvalidArgumentError: the row is neither in the dataset nor among the rejects.
    """
    try:
        return _told_rows([(manifest, row_id)])
    except InvalidDatasetError as error:
        ending = _ending(manifest, row_id)
        if ending is None:
            raise InvalidArgumentError(str(error)) from None
        return ending


def _ending(manifest: Manifest, row_id: str) -> str | None:
    """Describe in which step, this one or an earlier one, a row was rejected, and its lineage."""
    waiting, seen = [(manifest, row_id)], set()
    while waiting:
        step, candidate = waiting.pop(0)
        if (step.location, candidate) in seen:
            continue
        seen.add((step.location, candidate))
        inputs = [Manifest.read(one.location) for one in step.inputs]
        reject = find_reject(step, candidate)
        if reject is not None:
            kind = "left out" if reject["filtered"] else "given up"
            line = f"{step.step_id}: {kind}: {reject_line(reject, whole=True)}"
            return "\n".join(
                [line, *_origin(inputs, candidate, makes_ids=step.parent_field is not None)]
            )
        waiting += [(one, candidate) for one in inputs]
        if len(by_root(inputs)) > 1 and _names_group(candidate, inputs):
            waiting += _parents(inputs, candidate)
    return None


def _origin(inputs: list[Manifest], row_id: str, *, makes_ids: bool) -> list[str]:
    """Return the lineage of a reject; if the step makes new ids, that of the row's parent."""
    candidates = [row_id, row_id.rpartition("-")[0]] if makes_ids else [row_id]
    for candidate in filter(None, candidates):
        if len(by_root(inputs)) > 1 and not _names_group(candidate, inputs):
            continue
        with suppress(InvalidDatasetError):
            return [_told_rows(_parents(inputs, candidate))] if inputs else []
    return []


def _names_group(row_id: str, inputs: list[Manifest]) -> bool:
    number, dash, _ = row_id.partition("-")
    return bool(dash) and number.isdecimal() and int(number) < len(by_root(inputs))


def _told_rows(rows: list[tuple[Manifest, str]]) -> str:
    lines = []
    for step, row in ancestors(rows):
        lines.append(f"{step.step_id}: {row['id']}")
        for field in step.own_fields:
            told = f"  ({_told(field)})" if field.metadata else ""
            lines.append(f"  {field.name}: {_short(row[field.name])}{told}")
    return "\n".join(lines)


def ancestors(rows: list[tuple[Manifest, str]]) -> Iterator[tuple[Manifest, dict[str, Any]]]:
    """Yield each dataset that a row or its ancestors are in, from the given ones backwards.

    Only datasets with fields of their own are yielded; where branches were joined, all of them.
    Each comes with its row as a dict of fields: see `find_row`.

    Raises:
        InvalidDatasetError: a dataset has no such row, or a file is missing or broken.
    """
    waiting, seen = [*rows], set()
    while waiting:
        current, row_id = waiting.pop(0)
        if current.location in seen:
            continue
        seen.add(current.location)
        row = find_row(current, row_id)
        if current is rows[0][0] or current.own_fields:
            yield current, row
        before = row[current.parent_field] if current.parent_field else row_id
        inputs = [Manifest.read(one.location) for one in current.inputs]
        waiting += _parents(inputs, before)


def _parents(inputs: list[Manifest], row_id: str) -> list[tuple[Manifest, str]]:
    """Return the datasets that hold a row's parent; of several, a prefix of its id says which."""
    groups = by_root(inputs)
    if len(groups) > 1:
        number, _, row_id = row_id.partition("-")
        groups = (groups[int(number)],)
    return [(manifest, row_id) for one in groups for manifest in one]


def find_row(manifest: Manifest, row_id: str) -> dict[str, Any]:
    """Return one row with all its fields; binary ones as their size.

    Raises:
        InvalidDatasetError: the dataset has no such row.
    """
    for partition in manifest.partitions:
        if partition.first_id is None or not partition.first_id <= row_id <= str(partition.last_id):
            continue
        row = _lookup(manifest.index_location, partition.name, [], row_id)
        if row is None:
            continue
        for location in {field.location for field in manifest.fields.values()}:
            fields = [f for f in manifest.fields.values() if f.location == location]
            row |= _lookup(location, partition.name, fields, row_id) or {}
        return row
    msg = f"{manifest.location}: there is no row {row_id!r}; `fondant-spec show` lists some ids."
    raise InvalidDatasetError(msg)


def some_ids(manifest: Manifest, count: int = 5) -> list[str]:
    """Return the first ids of a dataset."""
    ids: list[str] = []
    for partition in manifest.partitions:
        path = partition_file(manifest.index_location, partition.name)
        column = open_partition(path, ["id"]).read(columns=["id"]).column("id")
        ids += column.slice(0, count - len(ids)).to_pylist()
        if len(ids) >= count:
            break
    return ids


def _lookup(
    location: str,
    partition: str,
    fields: list[Field],
    row_id: str,
) -> dict[str, Any] | None:
    names = ["id", *(field.name for field in fields)]
    file = open_partition(partition_file(location, partition), names)
    position = pc.index(file.read(columns=["id"]).column("id"), row_id).as_py()
    if position < 0:
        return None
    for number in range(file.num_row_groups):
        rows = file.metadata.row_group(number).num_rows
        if position < rows:
            table = file.read_row_group(number, columns=names).slice(position, 1)
            return dict(table.to_pylist()[0])
        position -= rows
    return None


def _told(field: Field) -> str:
    return ", ".join(f"{key} {value}" for key, value in field.metadata.items())


def _short(value: Any) -> str:
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, list) and len(value) > 8 and isinstance(value[0], float):  # noqa: PLR2004
        return f"{len(value)} numbers"
    text = value if isinstance(value, str) else pa.scalar(value).as_py()
    line = str(text).replace("\n", " ")
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
