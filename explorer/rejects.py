"""The rejects of a step as a table, with the URL and host that each was made from."""

from collections.abc import Iterator
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from explorer.tables import URLS, hosts_of
from fondant_spec.dataset import storage
from fondant_spec.dataset.layout import PARTITION_ENDING
from fondant_spec.dataset.manifest import Field, Manifest
from fondant_spec.dataset.partitions import read_batches
from fondant_spec.dataset.resolution import by_root

SCHEMA: Final = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("message", pa.string()),
        pa.field("attempts", pa.int32()),
        pa.field("filtered", pa.bool_()),
        pa.field("url", pa.string()),
        pa.field("host", pa.string()),
        pa.field("input", pa.string()),
        pa.field("input_id", pa.string()),
    ]
)
"""`input` is the manifest that the row was read from, and `input_id` its id there."""


def rejects_table(manifest: Manifest) -> pa.Table:
    """Return all rejects of a step.

    Raises:
        FondantError: an input cannot be read.
    """
    rows = [row for table in reject_tables(manifest) for row in table.to_pylist()]
    origins = dict(_origins(manifest, {row["id"] for row in rows}))
    for row in rows:
        row["input"], row["input_id"], row["url"] = origins.get(row["id"], (None, None, None))
    table = pa.Table.from_pylist(rows, SCHEMA)
    hosts = hosts_of(table.column("url").combine_chunks())
    return table.set_column(SCHEMA.get_field_index("host"), "host", hosts)


def reject_tables(manifest: Manifest) -> Iterator[pa.Table]:
    """Yield the rejects of a step, partition by partition, as written."""
    folder = manifest.rejects_location
    for name in sorted(storage.sizes(folder)):
        if name.endswith(PARTITION_ENDING):
            yield pq.read_table(storage.open_input(storage.join(folder, name)))


def _origins(
    manifest: Manifest, ids: set[str]
) -> Iterator[tuple[str, tuple[str, str, str | None]]]:
    """Yield input, id there and URL for each reject that was a row of an input."""
    groups = by_root([Manifest.read(one.location) for one in manifest.inputs])
    for number, group in enumerate(groups):
        before = f"{number}-" if len(groups) > 1 else ""
        wanted = pa.array(
            [i.removeprefix(before) for i in ids if i.startswith(before)], pa.string()
        )
        holder = group[0]
        field = next((holder.fields[name] for name in URLS if name in holder.fields), None)
        for row_id, url in _urls(holder, field, wanted):
            yield f"{before}{row_id}", (holder.location, row_id, url)


def _urls(
    manifest: Manifest, field: Field | None, wanted: pa.Array
) -> Iterator[tuple[str, str | None]]:
    inputs = {} if field is None else {"url": field}
    for partition in manifest.partitions:
        batches = read_batches(inputs, manifest.index_location, partition.name, only=wanted)
        for batch in batches:
            ids = batch.column("id").to_pylist()
            yield from zip(
                ids, batch.column("url").to_pylist() if inputs else [None] * len(ids), strict=True
            )
