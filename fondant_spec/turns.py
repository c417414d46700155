"""What is to be done for each partition of a step: nothing, all of it, or its failed rows."""

from dataclasses import replace

from fondant_spec import storage
from fondant_spec.manifest import Manifest, Partition, combine
from fondant_spec.records import Record, read_records
from fondant_spec.work import Work

Turn = tuple[Partition, Record | None]
"""A partition of the input, and its record where only its failed rows are to be tried again."""


def sort_out(work: Work, partitions: list[Partition]) -> tuple[list[Record], list[Turn]]:
    """Return the records that still count, and what is to be done for the other partitions."""
    done = _records(work)
    kept: list[Record] = []
    turns: list[Turn] = []
    for partition in partitions:
        record = done.get(partition.name)
        if record is None or record.made_from != work.made_from(partition.digest):
            turns.append((partition, None))
        elif _failed_again(work, record):
            # New ids depend on all the rows of their partition, so there it is done anew.
            turns.append((partition, None if work.spec.cardinality == "explodes" else record))
        else:
            kept.append(record)
    return kept, turns


def loaded(work: Work) -> dict[str, Record]:
    """Return the records of a load that still count, by name."""
    return {
        name: record
        for name, record in _records(work).items()
        if record.made_from == work.made_from() and not _failed_again(work, record)
    }


def partitions_of(inputs: list[Manifest]) -> list[Partition]:
    """Return the partitions to read; where branches are joined, their digests stand for all."""
    return [
        replace(parts[0], digest=combine(p.digest for p in parts)) if len(parts) > 1 else parts[0]
        for parts in zip(*(manifest.partitions for manifest in inputs), strict=True)
    ]


def _records(work: Work) -> dict[str, Record]:
    sizes = storage.sizes(work.data) | storage.sizes(work.staged)
    return read_records(work.records, sizes)


def _failed_again(work: Work, record: Record) -> bool:
    return record.failed > 0 and any(map(work.retries, record.rejects))
