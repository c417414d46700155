"""Make rows of each row, then keep the first of those that are alike."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.dataset as pads

from fondant_spec.component import RowContext, StreamTransformComponent
from fondant_spec.executor import execute


class FirstOfEach(StreamTransformComponent):
    """Looks at the whole dataset once more, to leave out what came before."""

    gathers = True

    def transform_batches(
        self, batches: Iterator[pa.RecordBatch], context: RowContext
    ) -> Iterator[pa.RecordBatch]:
        """Yield the remainder of each number by 3."""
        for batch in batches:
            remainders = [number % 3 for number in batch.column("number").to_pylist()]
            yield pa.RecordBatch.from_pydict(
                {"remainder": pa.array(remainders, pa.int64()), "seed_id": batch.column("id")}
            )

    def gather(self, rows: pads.Dataset, context: RowContext) -> Iterator[pa.RecordBatch]:
        """Yield the first row of each remainder."""
        seen: set[int] = set()
        for batch in rows.to_batches():
            new = []
            for row in batch.to_pylist():
                if row["remainder"] in seen:
                    context.rejects.filter(row["id"], "duplicate", f"like {row['remainder']}")
                new.append(row["remainder"] not in seen)
                seen.add(row["remainder"])
            yield batch.filter(pa.array(new, pa.bool_()))


if __name__ == "__main__":
    execute(FirstOfEach)
