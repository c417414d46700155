"""The checkpoint of a finished partition: what makes a step resumable.

A step that is stopped half-way keeps the partitions that have a checkpoint; only the others are
computed when it runs again. The manifest is made from the checkpoints.
"""

import json
import os
import socket
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from fondant_spec.dataset import storage
from fondant_spec.dataset.layout import CHECKPOINT_ENDING, PARTITION_ENDING
from fondant_spec.dataset.manifest import Partition
from fondant_spec.dataset.record_check import find_problem
from fondant_spec.spec.attribute_types import wrong_attribute

GATHERED: Final = "gathered"
"""The checkpoint of the rows of all partitions that were taken once more."""

WRITTEN: Final = "written"
"""The checkpoint of a component that wrote the whole dataset somewhere."""


@dataclass(frozen=True)
class Work:
    """When work on a partition began (UTC), its seconds, and who did it: `host:process`.

    `before` is how many of its rows an earlier attempt had settled.
    """

    started: str
    seconds: float
    worker: str
    before: int = 0

    @classmethod
    def since(cls, began: float, before: int = 0) -> Self:
        """Return the work of this process that ends now; `began` is of `time.time()`."""
        return cls(
            datetime.fromtimestamp(began, UTC).isoformat(timespec="milliseconds"),
            round(time.time() - began, 3),
            f"{socket.gethostname()}:{os.getpid()}",
            before,
        )

    @property
    def begin(self) -> datetime:
        """When it began."""
        return datetime.fromisoformat(self.started)

    @property
    def end(self) -> datetime:
        """When it ended."""
        return self.begin + timedelta(seconds=self.seconds)


@dataclass(frozen=True)
class Checkpoint:
    """What came of one partition of the input (or of one stretch of a source).

    `partitions` are the files written for it, `fields` the JSON types of their columns, both by the
    names in the dataset. `made_from` says what it was made from, `run_id` in which run, `work` when
    and by whom.
    """

    name: str
    made_from: str
    run_id: str
    work: Work
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
    return {
        one.name: one
        for one in list_checkpoints(folder)
        if all(sizes.get(f"{p.name}{PARTITION_ENDING}") == p.bytes for p in one.partitions)
    }


def list_checkpoints(folder: str) -> list[Checkpoint]:
    """Return all checkpoints in a folder, by name.

    Those of another version of the framework count as none: their partitions are done again.
    """
    names = sorted(name for name in storage.sizes(folder) if name.endswith(CHECKPOINT_ENDING))
    found = (read_checkpoint(storage.join(folder, name)) for name in names)
    return [one for one in found if one is not None]


def read_checkpoint(file: str) -> Checkpoint | None:
    """Return the checkpoint in a file; None if another version of the framework wrote it."""
    try:
        content = json.loads(storage.read_text(file))
        content["partitions"] = tuple(Partition(**p) for p in content["partitions"])
        content["artifacts"] = tuple(content["artifacts"])
        content["work"] = Work(**content["work"])
        checkpoint = Checkpoint(**content)
        ended = checkpoint.work.end
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        return None
    wrong = wrong_attribute(checkpoint.work) or find_problem(checkpoint, checkpoint.partitions)
    return None if wrong or ended.tzinfo is None else checkpoint


def count_rejects(checkpoints: Iterable[Checkpoint]) -> Counter[str]:
    """Return the number of rejects by reason, over all partitions."""
    counts: Counter[str] = Counter()
    for checkpoint in checkpoints:
        counts.update(checkpoint.rejects)
    return counts
