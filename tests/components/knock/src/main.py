"""Give ten times each number whose door is open, and reject the others."""

from pathlib import Path

import pyarrow as pa

from fondant_spec.component import ArrowTransformComponent, RowContext
from fondant_spec.executor import execute


class Knock(ArrowTransformComponent):
    """Stands for a step whose rows may fail today and succeed tomorrow."""

    def __init__(self, *, open: str, log: str) -> None:  # noqa: A002
        self.open = Path(open)
        self.log = Path(log)

    def transform(self, batch: pa.RecordBatch, context: RowContext) -> pa.RecordBatch:
        """Return the numbers whose doors are open; odd ones fail for another reason."""
        open_doors = {int(word) for word in self.open.read_text(encoding="utf-8").split()}
        kept = []
        with self.log.open("a", encoding="utf-8") as log:
            for row in batch.to_pylist():
                log.write(f"{row['number']} ")
                if row["number"] in open_doors:
                    kept.append({"id": row["id"], "answer": row["number"] * 10})
                else:
                    reason = "odd_door" if row["number"] % 2 else "closed"
                    context.rejects.add(row["id"], reason, "nobody opened")
        schema = pa.schema([("id", pa.string()), ("answer", pa.int64())])
        return pa.RecordBatch.from_pylist(kept, schema=schema)


if __name__ == "__main__":
    execute(Knock)
