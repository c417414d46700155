"""Rejects: the rows that a step gave up on, each with its reason."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from fondant_spec.shown_text import redact

REJECTS_SCHEMA: Final = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("message", pa.string()),
        pa.field("attempts", pa.int32()),
        pa.field("filtered", pa.bool_(), nullable=False),
    ],
)

_LONGEST_MESSAGE: Final = 1000


@dataclass
class Rejects:
    """Collects the rejects of one partition, and counts them by reason.

    A row that could not be processed is `add`ed and counts towards the step's reject threshold. A
    row that the user asked to leave out (too small, too wide, a duplicate) is `filter`ed: recorded
    all the same, but not a failure.
    """

    counts: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    _rows: list[tuple[str, str, str, int, bool]] = field(default_factory=list)

    def add(self, row_id: str, reason: str, message: str = "", attempts: int = 1) -> None:
        """Reject a row that failed. `reason` is a short code such as `not_an_image`."""
        self._append(row_id, reason, message, attempts, filtered=False)
        self.failed += 1

    def filter(self, row_id: str, reason: str = "filtered", message: str = "") -> None:
        """Leave a row out on purpose."""
        self._append(row_id, reason, message, 1, filtered=True)

    def restore(self, row: Mapping[str, Any]) -> None:
        """Add a row of a table of `REJECTS_SCHEMA`."""
        columns = (row[name] for name in ("id", "reason", "message", "attempts"))
        self._append(*columns, filtered=row["filtered"])
        self.failed += not row["filtered"]

    def drain(self) -> "Rejects":
        """Return the rejects so far, and clear this collection."""
        drained = Rejects(self.counts, self.failed, self._rows)
        self.counts, self.failed, self._rows = Counter(), 0, []
        return drained

    def by_partition(self, partitions: Sequence[pa.Array]) -> list["Rejects"]:
        """Split the rejects by partition, given the ids of each.

        Rejects of rows in no partition go to the last one.
        """
        owners = dict.fromkeys(self.ids(), len(partitions) - 1)
        known = pa.array(owners, pa.string())
        for number, ids in enumerate(partitions):
            rejected = ids.filter(pc.is_in(ids, value_set=known))
            owners.update(dict.fromkeys(rejected.to_pylist(), number))
        parts = [Rejects() for _ in partitions]
        for row in self.to_table().to_pylist():
            parts[owners[row["id"]]].restore(row)
        return parts

    def ids(self) -> set[str]:
        """Return the ids of all rejected rows so far."""
        return {row[0] for row in self._rows}

    def twice(self) -> str | None:
        """Return the id of a row that was rejected more than once, if any."""
        counts = Counter(row[0] for row in self._rows)
        return next((row_id for row_id, count in counts.items() if count > 1), None)

    def to_table(self) -> pa.Table:
        """Return the rejects as a table of `REJECTS_SCHEMA`, sorted by id whatever their order."""
        columns = list(zip(*sorted(self._rows), strict=True)) or [()] * len(REJECTS_SCHEMA)
        arrays = [pa.array(c, f.type) for c, f in zip(columns, REJECTS_SCHEMA, strict=True)]
        return pa.table(arrays, schema=REJECTS_SCHEMA)

    def __len__(self) -> int:
        """Return how many rows were rejected, failed and filtered alike."""
        return len(self._rows)

    def _append(
        self,
        row_id: str,
        reason: str,
        message: str,
        attempts: int,
        *,
        filtered: bool,
    ) -> None:
        # Messages quote what the web sent, which may not be encodable text. Secrets are redacted
        # before the final cut: half an address would no longer be recognised.
        message = redact(message[: 4 * _LONGEST_MESSAGE])[:_LONGEST_MESSAGE]
        message = message.encode("utf-8", "replace").decode()
        self._rows.append((row_id, reason, message, attempts, filtered))
        self.counts[reason] += 1
