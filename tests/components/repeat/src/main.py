"""Make as many rows of each row as its number says."""

import pyarrow as pa

from fondant_spec.component import ArrowTransformComponent, RowContext
from fondant_spec.executor import execute


class Repeat(ArrowTransformComponent):
    """Explodes; the framework gives the ids."""

    def __init__(self, *, stranger: bool = False) -> None:
        self.stranger = stranger

    def transform(self, batch: pa.RecordBatch, context: RowContext) -> pa.RecordBatch:
        """Return the copies; a number of 0 leaves none."""
        pairs = [
            (turn, "nobody" if self.stranger else row["id"])
            for row in batch.to_pylist()
            for turn in range(row["number"])
        ]
        turns, parents = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        return pa.RecordBatch.from_arrays(
            [pa.array(turns, pa.int64()), pa.array(parents, pa.string())],
            names=["turn", "seed_id"],
        )


if __name__ == "__main__":
    execute(Repeat)
