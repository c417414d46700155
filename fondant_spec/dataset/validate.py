"""Checking a dataset against its manifest, offline: nothing is believed, everything is read."""

import io
import json
from collections.abc import Iterable, Iterator
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fondant_spec.dataset import storage
from fondant_spec.dataset.confinement import Reach
from fondant_spec.dataset.layout import StepFolder, partition_file
from fondant_spec.dataset.manifest import Field, Manifest, Partition
from fondant_spec.dataset.partitions import open_partition
from fondant_spec.dataset.written_files import changed_files, in_words, is_mark, listed_files
from fondant_spec.errors import InvalidDatasetError, InvalidManifestError


def validate(manifest: Manifest, named: Iterable[str] = ()) -> list[str]:
    """Return what is wrong with a dataset: one line each, none if all is well.

    `named` are places outside of its base path that the user named, so that what a step wrote there
    is read. Checked are every file of every step that a field or the index comes from: present, of
    the size, hash and row count that its manifest says, with the columns and types, and with unique
    ids; and that what it was made from is still the same.
    """
    problems = []
    for location in sorted({manifest.index_location, *_locations(manifest)}):
        fields = [f for f in manifest.fields.values() if f.location == location]
        try:
            owner = _owner(manifest, location)
        except InvalidManifestError as error:
            problems.append(str(error))
            continue
        problems += _check_location(location, owner, fields)
    problems += [*_check_inputs(manifest), *_check_artifacts(manifest, named)]
    return list(dict.fromkeys(problems))


def check(manifest: Manifest, named: Iterable[str] = ()) -> None:
    """Refuse a dataset that `validate` finds fault with.

    Raises:
        InvalidDatasetError: with all that is wrong.
    """
    problems = validate(manifest, named)
    if problems:
        raise InvalidDatasetError("\n".join(problems))


def check_written(mark: str) -> int:
    """Refuse a folder with a mark whose files are not as a step wrote them; return their number.

    Raises:
        InvalidDatasetError: with what became of them, or since the mark lists no files.
        StorageError: the mark or one of them cannot be read.
    """
    files = listed_files(mark)
    if files is None:
        msg = f"{mark}: lists no files, so there is nothing to hold the folder against."
        raise InvalidDatasetError(msg)
    problems = list(_check_folder(mark))
    if problems:
        raise InvalidDatasetError("\n".join(problems))
    return len(files)


def _locations(manifest: Manifest) -> set[str]:
    return {field.location for field in manifest.fields.values()}


def _owner(manifest: Manifest, location: str) -> Manifest:
    """Return the manifest of the step that wrote to a location."""
    if location == manifest.data_location:
        return manifest
    return Manifest.read(StepFolder.of_manifest(location).manifest)


def _check_location(location: str, owner: Manifest, fields: list[Field]) -> Iterator[str]:
    ids = []
    for partition in owner.partitions:
        path = partition_file(location, partition.name)
        problem = _check_file(path, partition)
        if problem:
            yield problem
            continue
        try:
            file = open_partition(path, ["id"])
        except InvalidDatasetError as error:
            yield str(error)
            continue
        yield from _check_columns(path, file, fields, partition)
        ids.append(file.read(columns=["id"]).column("id"))
    yield from _check_ids(location, ids)


def _check_file(path: str, partition: Partition) -> str | None:
    if not storage.exists(path):
        return f"{path}: the file is missing."
    digest = storage.sha256_of(path)
    if digest != partition.sha256:
        return f"{path}: its sha256 is {digest}, but the manifest says {partition.sha256}."
    return None


def _check_columns(
    path: str,
    file: pq.ParquetFile,
    fields: list[Field],
    partition: Partition,
) -> Iterator[str]:
    if file.metadata.num_rows != partition.rows:
        yield f"{path}: has {file.metadata.num_rows} rows, but the manifest says {partition.rows}."
    schema = file.schema_arrow
    for field in fields:
        if field.name not in schema.names:
            yield f"{path}: has no field {field.name!r}, which the manifest names."
        elif partition.rows and not _holds(schema.field(field.name).type, field.type):
            found = schema.field(field.name).type
            yield f"{path}: field {field.name!r} is {found}, but the manifest says {field.type}."


def _holds(found: pa.DataType, declared: pa.DataType) -> bool:
    """Return whether a file's type is the declared one, or what Parquet makes of that."""
    return bool(found.equals(declared) or found.equals(_as_stored(declared)))


@cache
def _as_stored(declared: pa.DataType) -> pa.DataType:
    file = io.BytesIO()
    pq.write_table(pa.table({"field": pa.array([], declared)}), file)
    return pq.read_schema(file).field("field").type


def _check_ids(location: str, ids: list[pa.ChunkedArray]) -> Iterator[str]:
    column = pa.chunked_array([chunk for part in ids for chunk in part.chunks], pa.string())
    if column.null_count:
        yield f"{location}: {column.null_count} rows have no id."
    doubles = len(column) - pc.count_distinct(column, mode="all").as_py()
    if doubles:
        counts = pc.value_counts(column.combine_chunks()).to_pylist()
        example = next(entry["values"] for entry in counts if entry["counts"] > 1)
        yield f"{location}: {doubles} ids come more than once, for example {json.dumps(example)}."


def _check_inputs(manifest: Manifest) -> Iterator[str]:
    for made_from in manifest.inputs:
        if not storage.exists(made_from.location):
            continue  # it may be collected as garbage once no field lies there
        try:
            digest = Manifest.read(made_from.location).digest
        except InvalidManifestError as error:
            yield str(error)
            continue
        if digest != made_from.digest:
            yield (
                f"{made_from.location}: was made anew since this dataset was made from it; run the "
                "step again."
            )


def _check_artifacts(manifest: Manifest, named: Iterable[str]) -> Iterator[str]:
    reach = Reach.of(manifest.location, named)
    for artifact in sorted({*manifest.artifacts, *manifest.artifact_sha256}):
        if not reach.covers(artifact):
            folder = storage.parent(artifact)
            yield (
                f"{folder} lies outside of {reach.roots[0]}, and what the step wrote there is not "
                "read. If it is yours, name it, too: "
                f"fondant-spec validate {manifest.step_id} {folder}"
            )
    for artifact in filter(reach.covers, manifest.artifacts):
        if not storage.exists(artifact):
            yield f"{artifact}: what the step wrote is no longer there."
    for artifact in filter(reach.covers, manifest.artifact_sha256):
        digest = manifest.artifact_sha256[artifact]
        if storage.is_file(artifact) and storage.sha256_of(artifact) != digest:
            yield f"{artifact}: is not what the step wrote; another run may have written there."
        elif is_mark(artifact) and storage.is_file(artifact):
            yield from _check_folder(artifact)


def _check_folder(mark: str) -> Iterator[str]:
    changes = in_words(changed_files(mark, reads_all=True))
    if changes:
        yield (
            f"{storage.parent(mark)}: is not what the step wrote: {changes}. To keep it as it is, "
            "move it away before the step runs again."
        )
