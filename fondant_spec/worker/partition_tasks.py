"""What is to be done for each partition of a step: nothing, all of it, or its failed rows."""

from dataclasses import dataclass, replace

from fondant_spec.dataset import storage
from fondant_spec.dataset.checkpoint import Record, read_records
from fondant_spec.dataset.manifest import Manifest, Partition, combine
from fondant_spec.worker.step_context import Work


@dataclass(frozen=True)
class Turn:
    """One partition of what a step reads, under the name that its record gets.

    `source` is the number of the source among the step's. `earlier` is the partition's record where
    only its failed rows are to be tried again.
    """

    name: str
    source: int
    partition: Partition
    earlier: Record | None = None


def turns_of(groups: list[list[Manifest]]) -> list[Turn]:
    """Return the turns of a step that reads groups of branches, one group after the other.

    Where branches are joined, the digest of a partition stands for all of them.
    """
    turns = []
    for number, group in enumerate(groups):
        for parts in zip(*(manifest.partitions for manifest in group), strict=True):
            digests = [part.digest for part in parts]
            joined = digests[0] if len(digests) == 1 else combine(digests)
            name = f"{number}-{parts[0].name}" if len(groups) > 1 else parts[0].name
            turns.append(Turn(name, number, replace(parts[0], digest=joined)))
    return turns


def sort_out(work: Work, turns: list[Turn]) -> tuple[list[Record], list[Turn]]:
    """Return the records that still count, and the turns that are left."""
    done = _records(work)
    kept: list[Record] = []
    left: list[Turn] = []
    for turn in turns:
        record = done.get(turn.name)
        if record is None or record.made_from != work.made_from(turn.partition.digest):
            left.append(turn)
        elif _failed_again(work, record):
            # New ids depend on all the rows of their partition, so there it is done anew.
            explodes = work.spec.cardinality == "explodes"
            left.append(turn if explodes else replace(turn, earlier=record))
        else:
            kept.append(record)
    return kept, left


def loaded(work: Work) -> dict[str, Record]:
    """Return the records of a load that still count, by name."""
    return {
        name: record
        for name, record in _records(work).items()
        if record.made_from == work.made_from() and not _failed_again(work, record)
    }


def _records(work: Work) -> dict[str, Record]:
    sizes = storage.sizes(work.data) | storage.sizes(work.staged)
    return read_records(work.records, sizes)


def _failed_again(work: Work, record: Record) -> bool:
    return record.failed > 0 and any(map(work.retries, record.rejects))
