"""Trying failed rows once more, without doing the others again."""

import heapq
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fondant_spec.dataset import storage
from fondant_spec.dataset.checkpoint import Record
from fondant_spec.dataset.manifest import Field, Partition
from fondant_spec.dataset.partitions import PartitionWriter, file_of, read_batches
from fondant_spec.dataset.rejects import Rejects
from fondant_spec.spec.types import type_from_json
from fondant_spec.worker.output_check import check_cardinality
from fondant_spec.worker.partition_output import Output
from fondant_spec.worker.partition_tasks import Turn
from fondant_spec.worker.run_partition import (
    Advance,
    Transform,
    counted,
    with_origin,
    write_rejects,
)
from fondant_spec.worker.step_context import Work


def retry_partition(
    work: Work,
    component: Transform,
    turn: Turn,
    earlier: Record,
    advance: Advance,
) -> Record:
    """Run a step that maps or filters over the failed rows of a partition, and add what comes.

    Which rows those are is in `work.retry`. The partition and its rejects are written anew, with
    the rows in the order of the input.
    """
    source, partition = work.sources[turn.source], turn.partition
    told = _read_rejects(work, partition.name)
    failed = [row for row in told if not row["filtered"] and work.retries(row["reason"])]
    again = pa.array([row["id"] for row in failed], pa.string())
    component.rejects = rejects = Rejects()
    batches = source.batches(partition.name, component.batch_rows, again)
    output = Output(work, partition.name, staged=True)
    ids_in = source.ids(partition.name)
    with output:
        output.write(component.transform_batches(counted(batches, component, advance)))
        tried = ids_in.filter(pc.is_in(ids_in, value_set=again))
        check_cardinality(work.spec.cardinality, tried, output.ids(), rejects, work.where)
    merged = _merged_rejects(told, {row["id"]: row["attempts"] for row in failed}, rejects)
    fields = output.fields if output.rows else earlier.fields
    written = _write_both(work, partition.name, fields, ids_in)
    write_rejects(work, partition.name, merged)
    record = replace(
        earlier,
        partitions=(with_origin(written, partition),),
        fields=fields,
        rejects=dict(merged.counts),
        failed=merged.failed,
    )
    record.write(work.records)
    return record


def _read_rejects(work: Work, name: str) -> list[dict[str, Any]]:
    table = pq.read_table(storage.open_input(file_of(work.rejects, name)))
    return list(table.to_pylist())


def _merged_rejects(
    told: list[dict[str, Any]],
    attempts: dict[str, int],
    rejects: Rejects,
) -> Rejects:
    """Return the rejects that were not tried again, and those of the rows that failed again."""
    merged = Rejects()
    kept = [row for row in told if row["id"] not in attempts]
    new = rejects.to_table().to_pylist()
    for row in [*kept, *new]:
        if row["filtered"]:
            merged.filter(row["id"], row["reason"], row["message"])
        else:
            total = row["attempts"] + attempts.get(row["id"], 0)
            merged.add(row["id"], row["reason"], row["message"], total)
    return merged


def _write_both(work: Work, name: str, fields: Any, ids: pa.Array) -> Partition:
    """Write the rows there were and the new ones as one partition, in the order of `ids`."""
    schema = pa.schema(
        [("id", pa.string()), *((key, type_from_json(value)) for key, value in fields.items())]
    )
    place = {row_id: number for number, row_id in enumerate(ids.to_pylist())}
    writer = PartitionWriter(work.data, name, schema)
    try:
        places = (work.data, work.staged)
        streams = (_rows(location, name, schema, place) for location in places)
        for _, row in heapq.merge(*streams, key=lambda numbered: numbered[0]):
            writer.write(row)
        return writer.close()
    except BaseException as error:
        writer.abort(error)
        raise


def _rows(
    location: str,
    name: str,
    schema: pa.Schema,
    place: dict[str, int],
) -> Iterator[tuple[int, pa.RecordBatch]]:
    inputs = {f.name: Field(f.name, f.type, location) for f in schema if f.name != "id"}
    for batch in read_batches(inputs, location, name):
        for number, row_id in enumerate(batch.column("id").to_pylist()):
            yield place[row_id], batch.slice(number, 1)
