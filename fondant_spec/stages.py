"""What a worker does with a partition: load, transform, gather or write it, and record it."""

from collections.abc import Callable, Iterable, Iterator, Mapping

import pyarrow as pa
import pyarrow.dataset as pads

from fondant_spec import storage
from fondant_spec.component import (
    ArrowTransformComponent,
    Component,
    LoadComponent,
    PandasTransformComponent,
    StreamTransformComponent,
    WriteComponent,
    row_id,
)
from fondant_spec.conform import check_cardinality
from fondant_spec.manifest import Partition
from fondant_spec.output import Output
from fondant_spec.partitions import file_of, read_batches, read_ids, write_table
from fondant_spec.records import Record
from fondant_spec.rejects import Rejects
from fondant_spec.work import Work

GATHERED = "gathered"
WRITTEN = "written"

Advance = Callable[[int, int], None]
"""Called with the number of rows that went in, and of those that were rejected."""

Transform = ArrowTransformComponent | PandasTransformComponent | StreamTransformComponent


def transform_partition(
    work: Work,
    component: Transform,
    partition: str,
    advance: Advance,
) -> Record:
    """Run a transform over one partition of the input, and record it."""
    component.rejects = rejects = Rejects()
    batches = read_batches(
        work.binding.inputs, work.index_location, partition, component.batch_rows
    )
    gathers = isinstance(component, StreamTransformComponent) and component.gathers
    explodes = work.spec.cardinality == "explodes"
    output = Output(work, partition, staged=gathers, rolls=explodes and not gathers)
    with output:
        output.write(component.transform_batches(_counted(batches, component, advance)))
        ids_in = read_ids(work.index_location, partition)
        check_cardinality(work.spec.cardinality, ids_in, output.ids(), rejects, work.where)
    return _record(work, component, partition, output, rows_in=len(ids_in))


def load_partitions(
    work: Work,
    component: LoadComponent,
    done: Mapping[str, Record],
    advance: Advance,
) -> list[Record]:
    """Run a load, one record for each `rows_per_partition` rows; those in `done` are not written.

    The rejects of a stretch of the source belong to the partition that follows them.
    """
    records: list[Record] = []
    output: Output | None = None
    for batch in _numbered(component.load()):
        start = 0
        while start < len(batch):
            if output is None:
                name = f"part-{len(records):05d}"
                output = Output(work, name, discard=name in done)
            part = batch.slice(start, work.rows_per_partition - output.rows)
            output.write([part])
            advance(len(part), 0)
            start += len(part)
            if output.full:
                records.append(_finish_load(work, component, output, done))
                output = None
    if output is not None or not records or len(component.rejects):
        output = output or Output(work, f"part-{len(records):05d}")
        records.append(_finish_load(work, component, output, done))
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
    return _record(work, component, GATHERED, output, rows_in=sum(_rows(records)))


def write_partitions(
    work: Work,
    component: WriteComponent,
    partitions: Iterable[Partition],
    advance: Advance,
) -> Record:
    """Run a write over all partitions."""
    storage.remove(component.output_directory)
    component.rejects = rejects = Rejects()
    partitions = list(partitions)
    batches = (
        batch
        for partition in partitions
        for batch in read_batches(
            work.binding.inputs, work.index_location, partition.name, component.batch_rows
        )
    )
    artifacts = component.write(_counted(batches, component, advance))
    _write_rejects(work, WRITTEN, rejects)
    record = Record(
        name=WRITTEN,
        inputs_digest=work.inputs_digest,
        rows_in=sum(p.rows for p in partitions),
        partitions=(),
        fields={},
        rejects=dict(rejects.counts),
        failed=rejects.failed,
        artifacts=tuple(artifacts),
    )
    record.write(work.records)
    return record


def _finish_load(
    work: Work,
    component: LoadComponent,
    output: Output,
    done: Mapping[str, Record],
) -> Record:
    output.close()
    rejects, component.rejects = component.rejects, Rejects()
    if output.name in done:
        return done[output.name]
    return _record(
        work, component, output.name, output, rows_in=output.rows + len(rejects), rejects=rejects
    )


def _record(
    work: Work,
    component: Component,
    name: str,
    output: Output,
    *,
    rows_in: int,
    rejects: Rejects | None = None,
) -> Record:
    rejects = component.rejects if rejects is None else rejects
    _write_rejects(work, name, rejects)
    record = Record(
        name=name,
        inputs_digest=work.inputs_digest,
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


def _write_rejects(work: Work, name: str, rejects: Rejects) -> None:
    if len(rejects):
        write_table(work.rejects, name, rejects.to_table())
    else:
        storage.remove(file_of(work.rejects, name))


def _counted(
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
