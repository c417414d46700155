"""The record of a finished partition: what makes a step resumable.

A step that is stopped half-way keeps the partitions that have a record; only the others are
computed when it runs again. The manifest is made from the records.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from fondant_spec.dataset import storage
from fondant_spec.dataset.manifest import Partition


@dataclass(frozen=True)
class Record:
    """What came of one partition of the input (or of one stretch of a source).

    `partitions` are the files written for it, `fields` the JSON types of their columns, both by the
    names in the dataset. `made_from` says what it was made from.
    """

    name: str
    made_from: str
    rows_in: int
    partitions: tuple[Partition, ...]
    fields: Mapping[str, Any]
    metadata: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    rejects: Mapping[str, int] = field(default_factory=dict)
    failed: int = 0
    artifacts: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows came out."""
        return sum(partition.rows for partition in self.partitions)

    def write(self, folder: str) -> None:
        """Put the record on disk; from then on the partition is done."""
        storage.write_text(storage.join(folder, f"{self.name}.json"), json.dumps(asdict(self)))


def read_records(folder: str, sizes: Mapping[str, int]) -> dict[str, Record]:
    """Return the records in a folder by name, as far as their files are whole.

    `sizes` are those of the files there are.
    """
    records = {}
    for file in sorted(name for name in storage.sizes(folder) if name.endswith(".json")):
        content = json.loads(storage.read_text(storage.join(folder, file)))
        content["partitions"] = tuple(Partition(**p) for p in content["partitions"])
        content["artifacts"] = tuple(content["artifacts"])
        record = Record(**content)
        if all(sizes.get(f"{p.name}.parquet") == p.bytes for p in record.partitions):
            records[record.name] = record
    return records


def count_rejects(records: Iterable[Record]) -> Counter[str]:
    """Return the number of rejects by reason, over all records."""
    counts: Counter[str] = Counter()
    for record in records:
        counts.update(record.rejects)
    return counts
