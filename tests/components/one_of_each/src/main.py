"""Keep the first row of those that have the same remainder, over the whole dataset."""

from collections import Counter
from collections.abc import Iterator

import pyarrow as pa

from fondant_spec.component import GatherComponent, RowContext, SetupContext
from fondant_spec.executor import execute


class OneOfEach(GatherComponent):
    """Counts all rows before it gives the first one out; breaks its promise if asked to."""

    def __init__(
        self, *, divisor: int = 3, order: str | None = None, fault: str | None = None
    ) -> None:
        self._divisor = divisor
        self._fault = fault

    def setup(self, context: SetupContext) -> None:
        """Keep what there is to see."""
        self._about = {
            "consumed": sorted(context.input_fields),
            "there": sorted(context.dataset_fields),
        }

    def field_metadata(self) -> dict[str, dict[str, object]]:
        """Say what was seen."""
        return {"alike": self._about}

    def gather(
        self, batches: Iterator[pa.RecordBatch], context: RowContext
    ) -> Iterator[pa.RecordBatch]:
        """Yield the first row of each remainder."""
        rows = [row for batch in batches for row in batch.to_pylist()]
        alike = Counter(row["number"] % self._divisor for row in rows)
        first: dict[int, str] = {}
        for row in rows:
            first.setdefault(row["number"] % self._divisor, row["id"])
            if (kept := first[row["number"] % self._divisor]) != row["id"]:
                context.rejects.filter(row["id"], "alike", f"like {kept}")
        ids = list(first.values())
        if self._fault == "stranger":
            ids.append("nobody")
        if self._fault == "swapped":
            ids.reverse()
        if self._fault == "reject_stranger":
            context.rejects.filter("nobody", "alike")
        if self._fault == "both":
            context.rejects.filter(ids[-1], "alike")
        counts = [alike[number] for number in first] + [0] * (len(ids) - len(first))
        yield pa.RecordBatch.from_pydict(
            {"id": pa.array(ids, pa.string()), "alike": pa.array(counts, pa.int64())}
        )


if __name__ == "__main__":
    execute(OneOfEach)
