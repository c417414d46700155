"""What a worker does with a partition: load, transform, gather or write it, and record it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from fondant_spec.dataset import storage
from fondant_spec.dataset.checkpoint import Record
from fondant_spec.dataset.manifest import Partition, combine
from fondant_spec.dataset.partitions import file_of, row_id
from fondant_spec.dataset.rejects import Rejects
from fondant_spec.errors import CardinalityError
from fondant_spec.worker.base_components import (
    ArrowTransformComponent,
    Component,
    LoadComponent,
    PandasTransformComponent,
    StreamTransformComponent,
    WriteComponent,
)
from fondant_spec.worker.output_check import check_cardinality, check_parents
from fondant_spec.worker.partition_output import Output
from fondant_spec.worker.partition_tasks import Turn
from fondant_spec.worker.step_context import Work

GATHERED = "gathered"
WRITTEN = "written"

Advance = Callable[[int, int], None]
"""Called with the number of rows that went in, and of those that were rejected."""

Transform = ArrowTransformComponent | PandasTransformComponent | StreamTransformComponent


def transform_partition(
    work: Work,
    component: Transform,
    turn: Turn,
    advance: Advance,
) -> Record:
    """Run a transform over one partition of the input, and record it."""
    component.rejects = rejects = Rejects()
    source, partition = work.sources[turn.source], turn.partition
    component.input_fields = dict(source.inputs)
    batches = source.batches(partition.name, component.batch_rows)
    gathers = isinstance(component, StreamTransformComponent) and component.gathers
    explodes = work.spec.cardinality == "explodes"
    output = Output(work, turn.name, staged=gathers, rolls=explodes and not gathers)
    with output:
        output.write(component.transform_batches(counted(batches, component, advance)))
        ids_in = source.ids(partition.name)
        if explodes:
            check_parents(ids_in, output.parents(), rejects, work.where)
        else:
            check_cardinality(work.spec.cardinality, ids_in, output.ids(), rejects, work.where)
    if not explodes:
        output.partitions = [with_origin(p, partition) for p in output.partitions]
    made_from = work.made_from(partition.digest)
    return _record(work, component, output, rejects, rows_in=len(ids_in), made_from=made_from)


def with_origin(written: Partition, source: Partition) -> Partition:
    """Return a partition whose digest also stands for the one that it was made from.

    The fields of earlier steps stay beside those of this one, so both count.
    """
    return replace(written, digest=combine([written.sha256, source.digest]))


def load_partitions(
    work: Work,
    component: LoadComponent,
    done: Mapping[str, Record],
    advance: Advance,
) -> list[Record]:
    """Run a load, one record for each `rows_per_partition` rows; those in `done` are not written.

    Rows that are rejected on the way to a partition's end, and just after, are told with it.
    """
    records: list[Record] = []
    batches = _numbered(component.load())
    rest: pa.RecordBatch | None = next(batches, None)
    while rest is not None or not records:
        name = f"part-{len(records):05d}"
        output = Output(work, name, discard=name in done)
        with output:
            while rest is not None and not output.full:
                part = rest.slice(0, work.rows_per_partition - output.rows)
                output.write([part])
                advance(len(part), 0)
                rest = rest.slice(len(part)) if len(part) < len(rest) else next(batches, None)
        rejects, component.rejects = component.rejects, Rejects()
        if name in done:
            records.append(done[name])
        else:
            rows_in = output.rows + len(rejects)
            records.append(_record(work, component, output, rejects, rows_in=rows_in))
    return records


def gather(work: Work, component: StreamTransformComponent, records: list[Record]) -> Record:
    """Take the staged rows of all partitions once more, and record what comes of them."""
    component.rejects = rejects = Rejects()
    files = [file_of(work.staged, p.name) for record in records for p in record.partitions]
    staged = [file for file, rows in zip(files, _rows(records), strict=True) if rows]
    output = Output(work, GATHERED, rolls=True)
    with output:
        if staged:
            fs, _ = storage.filesystem(work.folder)
            rows = pads.dataset([_path(f) for f in staged], filesystem=fs, format="parquet")
            output.write(component.gather(rows))
            ids_in = rows.to_table(columns=["id"]).column("id").combine_chunks()
            ids_out = output.ids().combine_chunks()
            _filter_lost(ids_in, ids_out, rejects)
    return _record(work, component, output, rejects, rows_in=sum(_rows(records)))


def write_partitions(
    work: Work,
    component: WriteComponent,
    partitions: Sequence[str],
    advance: Advance,
) -> Record:
    """Run a write over all partitions."""
    storage.remove(component.output_directory)
    component.rejects = rejects = Rejects()
    source = work.sources[0]
    streams = (source.batches(partition, component.batch_rows) for partition in partitions)
    batches = counted(chain.from_iterable(streams), component, advance)
    artifacts = component.write(batches)
    if next(batches, None) is not None:
        msg = f"{work.where}: the component left rows unread; take all of them, and reject the bad."
        raise CardinalityError(msg)
    write_rejects(work, WRITTEN, rejects)
    record = Record(
        name=WRITTEN,
        made_from=work.made_from(),
        rows_in=sum(len(source.ids(partition)) for partition in partitions),
        partitions=(),
        fields={},
        rejects=dict(rejects.counts),
        failed=rejects.failed,
        artifacts=tuple(artifacts),
    )
    record.write(work.records)
    return record


def _record(
    work: Work,
    component: Component,
    output: Output,
    rejects: Rejects,
    *,
    rows_in: int,
    made_from: str | None = None,
) -> Record:
    write_rejects(work, output.name, rejects)
    record = Record(
        name=output.name,
        made_from=work.made_from() if made_from is None else made_from,
        rows_in=rows_in,
        partitions=tuple(output.partitions),
        fields=output.fields,
        metadata={
            work.binding.output_names[field_]: dict(values)
            for field_, values in component.field_metadata().items()
            if field_ in work.binding.output_names
        },
        rejects=dict(rejects.counts),
        failed=rejects.failed,
    )
    record.write(work.records)
    return record


def write_rejects(work: Work, name: str, rejects: Rejects) -> None:
    """Write the rejects of a partition, or remove those of an earlier attempt."""
    path = file_of(work.rejects, name)
    if not len(rejects):
        storage.remove(path)
        return
    with storage.atomic_writer(path) as file:
        pq.write_table(rejects.to_table(), file, compression="zstd")


def counted(
    batches: Iterable[pa.RecordBatch],
    component: Component,
    advance: Advance,
) -> Iterator[pa.RecordBatch]:
    """Pass batches on, and count them as done when the component comes for the next."""
    told = 0
    for batch in batches:
        yield batch
        rejected = len(component.rejects)
        advance(len(batch), rejected - told)
        told = rejected


def _numbered(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Give rows without an id their number."""
    number = 0
    for batch in batches:
        if "id" in batch.schema.names:
            yield batch
        else:
            ids = pa.array([row_id(number + i) for i in range(len(batch))], pa.string())
            yield pa.RecordBatch.from_arrays(
                [ids, *batch.columns], names=["id", *batch.schema.names]
            )
        number += len(batch)


def _filter_lost(ids_in: pa.Array, ids_out: pa.Array, rejects: Rejects) -> None:
    known = set(ids_out.to_pylist()) | rejects.ids()
    for lost in ids_in.to_pylist():
        if lost not in known:
            rejects.filter(lost)


def _rows(records: list[Record]) -> list[int]:
    return [partition.rows for record in records for partition in record.partitions]


def _path(url: str) -> str:
    return storage.filesystem(url)[1]
