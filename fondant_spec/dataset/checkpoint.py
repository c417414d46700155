"""The checkpoint of a finished partition: what makes a step resumable.

A step that is stopped half-way keeps the partitions that have a checkpoint; only the others are
computed when it runs again. The manifest is made from the checkpoints.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from fondant_spec.dataset import storage
from fondant_spec.dataset.layout import CHECKPOINT_ENDING, PARTITION_ENDING
from fondant_spec.dataset.manifest import Partition


@dataclass(frozen=True)
class Checkpoint:
    """What came of one partition of the input (or of one stretch of a source).

    `partitions` are the files written for it, `fields` the JSON types of their columns, both by the
    names in the dataset. `made_from` says what it was made from, `run_id` in which run.
    """

    name: str
    made_from: str
    run_id: str
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
        """Put the checkpoint on disk; from then on the partition is done."""
        storage.write_text(self._file(folder), json.dumps(asdict(self)))

    def remove(self, folder: str) -> None:
        """Take the checkpoint off the disk: the partition is to be done again."""
        storage.remove(self._file(folder))

    def _file(self, folder: str) -> str:
        return storage.join(folder, f"{self.name}{CHECKPOINT_ENDING}")


def read_checkpoints(folder: str, sizes: Mapping[str, int]) -> dict[str, Checkpoint]:
    """Return the checkpoints in a folder by name, as far as their files are whole.

    `sizes` are those of the files there are.
    """
    checkpoints = {}
    for file in sorted(name for name in storage.sizes(folder) if name.endswith(CHECKPOINT_ENDING)):
        content = json.loads(storage.read_text(storage.join(folder, file)))
        content["partitions"] = tuple(Partition(**p) for p in content["partitions"])
        content["artifacts"] = tuple(content["artifacts"])
        checkpoint = Checkpoint(**content)
        if all(sizes.get(f"{p.name}{PARTITION_ENDING}") == p.bytes for p in checkpoint.partitions):
            checkpoints[checkpoint.name] = checkpoint
    return checkpoints


def count_rejects(checkpoints: Iterable[Checkpoint]) -> Counter[str]:
    """Return the number of rejects by reason, over all partitions."""
    counts: Counter[str] = Counter()
    for checkpoint in checkpoints:
        counts.update(checkpoint.rejects)
    return counts
