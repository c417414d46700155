"""Checkpoints of finished partitions, which make a step resumable.

An interrupted step keeps the partitions that have a checkpoint; when it runs again, only the others
are computed. The manifest is built from the checkpoints.
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
"""The checkpoint of a gather step: rows of all partitions, processed a second time."""

WRITTEN: Final = "written"
"""The checkpoint of a component that wrote the whole dataset somewhere."""


@dataclass(frozen=True)
class Work:
    """Who worked on a partition and when: the start (UTC), seconds, and `host:process`.

    `before` is the number of its rows that an earlier attempt had settled.
    """

    started: str
    seconds: float
    worker: str
    before: int = 0

    @classmethod
    def since(cls, began: float, before: int = 0) -> Self:
        """Return the work of this process, ending now; `began` is a value of `time.time()`."""
        return cls(
            datetime.fromtimestamp(began, UTC).isoformat(timespec="milliseconds"),
            round(time.time() - began, 3),
            f"{socket.gethostname()}:{os.getpid()}",
            before,
        )

    @property
    def begin(self) -> datetime:
        """The start of the work."""
        return datetime.fromisoformat(self.started)

    @property
    def end(self) -> datetime:
        """The end of the work."""
        return self.begin + timedelta(seconds=self.seconds)


@dataclass(frozen=True)
class Checkpoint:
    """The result of one input partition, or of one stretch of a source.

    `partitions` are the files written for it and `fields` the JSON types of their columns, both
    under the names used in the dataset. `made_from` is the digest of its input, `run_id` the run
    that made it, and `work` the time and worker.
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
        """The number of rows that came out."""
        return sum(partition.rows for partition in self.partitions)

    def write(self, folder: str) -> None:
        """Write the checkpoint, which marks the partition as done."""
        storage.write_text(self._file(folder), json.dumps(asdict(self)))

    def remove(self, folder: str) -> None:
        """Delete the checkpoint, so that the partition is computed again."""
        storage.remove(self._file(folder))

    def _file(self, folder: str) -> str:
        return storage.join(folder, f"{self.name}{CHECKPOINT_ENDING}")


def read_checkpoints(folder: str, sizes: Mapping[str, int]) -> dict[str, Checkpoint]:
    """Return the checkpoints in a folder by name, where all their files are complete.

    `sizes` are the sizes of the existing files.
    """
    return {
        one.name: one
        for one in list_checkpoints(folder)
        if all(sizes.get(f"{p.name}{PARTITION_ENDING}") == p.bytes for p in one.partitions)
    }


def list_checkpoints(folder: str) -> list[Checkpoint]:
    """Return all checkpoints in a folder, sorted by name.

    Those of another framework version are skipped, so that their partitions are computed again.
    """
    names = sorted(name for name in storage.sizes(folder) if name.endswith(CHECKPOINT_ENDING))
    found = (read_checkpoint(storage.join(folder, name)) for name in names)
    return [one for one in found if one is not None]


def read_checkpoint(file: str) -> Checkpoint | None:
    """Read a checkpoint; return None if another framework version wrote it."""
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
    """Count the rejects of all partitions by reason."""
    counts: Counter[str] = Counter()
    for checkpoint in checkpoints:
        counts.update(checkpoint.rejects)
    return counts
