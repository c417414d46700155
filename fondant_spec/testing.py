"""Test utilities for component authors: run a component as a runner does, and read its output."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from fondant_spec.dataset import storage
from fondant_spec.dataset.layout import PipelineFolder, partition_file
from fondant_spec.dataset.manifest import Field, Manifest
from fondant_spec.dataset.partition_writer import write_table
from fondant_spec.dataset.partitions import row_id
from fondant_spec.dataset.rejects import REJECTS_SCHEMA
from fondant_spec.spec.arguments import resolve, to_argv
from fondant_spec.spec.component_spec import ComponentSpec
from fondant_spec.worker.component_code import component_class
from fondant_spec.worker.run_step import run

_ONE_PARTITION: Final = 1_000_000
"""More rows than any test has."""


@dataclass(frozen=True)
class Result:
    """The output of a component: its own columns, its rejects, and the manifest describing them."""

    table: pa.Table
    rejects: pa.Table
    manifest: Manifest


def run_component(
    folder: str | Path,
    table: pa.Table | None,
    tmp_path: Path,
    *,
    options: dict[str, str] | None = None,
    metadata: dict[str, dict[str, Any]] | None = None,
    rows_per_partition: int = _ONE_PARTITION,
    **arguments: Any,
) -> Result:
    """Run the component in `folder` over the rows of `table`, as a runner would.

    `table` may lack `id`, and is None for a component that loads. `metadata` is the metadata of its
    fields. `options` are executor options, such as `{"produces": '{"label": "string"}'}`.
    """
    spec = ComponentSpec.from_file(folder)
    if spec.source is None:
        msg = f"{folder} has no src/main.py."
        raise FileNotFoundError(msg)
    argv = ["--base_path", str(tmp_path / "base"), "--workers", "1"]
    if table is not None:
        dataset = write_dataset(
            table, tmp_path / "base", metadata=metadata, rows_per_partition=rows_per_partition
        )
        argv += ["--input_manifest_path", dataset.location]
    for name, word in (options or {}).items():
        argv += [f"--{name}", word]
    values = resolve(spec.arguments, arguments, spec.component_id)
    manifest = run(component_class(spec.source), [*argv, *to_argv(spec.arguments, values)])
    if manifest is None:
        msg = "a slice commits nothing, so there is nothing to return."
        raise ValueError(msg)
    return Result(read_table(manifest), read_rejects(manifest), manifest)


def write_dataset(
    table: pa.Table,
    base_path: Path,
    *,
    rows_per_partition: int = _ONE_PARTITION,
    metadata: dict[str, dict[str, Any]] | None = None,
) -> Manifest:
    """Write a table as a committed dataset, as if made by a step named `given`."""
    if "id" not in table.column_names:
        ids = pa.array([row_id(number) for number in range(len(table))], pa.string())
        table = table.add_column(0, "id", ids)
    folder = PipelineFolder.of(storage.normalize(base_path), "pipeline").step("given", "0" * 16)
    data = folder.data
    starts = range(0, max(len(table), 1), rows_per_partition)
    partitions = [
        write_table(data, f"part-{number:05d}", table.slice(start, rows_per_partition))
        for number, start in enumerate(starts)
    ]
    described = metadata or {}
    manifest = Manifest(
        pipeline_name="pipeline",
        step_id="given",
        run_id="test",
        cache_key="0" * 16,
        location=folder.manifest,
        index_location=data,
        fields={
            column.name: Field(column.name, column.type, data, described.get(column.name, {}))
            for column in table.schema
            if column.name != "id"
        },
        partitions=tuple(partitions),
        root=folder.manifest,
    )
    manifest.write()
    return manifest


def read_table(manifest: Manifest) -> pa.Table:
    """Return the columns that the step itself wrote, of all partitions; none for a write."""
    own = manifest.data_location
    names = [p.name for p in manifest.partitions] if storage.sizes(own) else []
    tables = [pq.read_table(storage.open_input(partition_file(own, name))) for name in names]
    filled = [table for table in tables if len(table)] or tables[:1]
    return pa.concat_tables(filled) if filled else pa.table({})


def read_rejects(manifest: Manifest) -> pa.Table:
    """Return the rows that the step rejected."""
    folder = manifest.rejects_location
    files = [storage.join(folder, name) for name in sorted(storage.sizes(folder))]
    tables = [pq.read_table(storage.open_input(file)) for file in files]
    return pa.concat_tables(tables) if tables else REJECTS_SCHEMA.empty_table()
