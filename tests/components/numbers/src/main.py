"""Make rows that hold a number and its name."""

from collections.abc import Iterator

import pyarrow as pa

from fondant_spec.component import LoadComponent, RowContext, row_id
from fondant_spec.executor import execute


class Numbers(LoadComponent):
    """Counts."""

    def __init__(
        self,
        *,
        rows: int = 10,
        batch_rows: int = 7,
        own_ids: bool = False,
        skip: list[int] = (),
        fail_at: int | None = None,
    ) -> None:
        self.rows = rows
        self.rows_at_once = batch_rows
        self.own_ids = own_ids
        self.skip = skip
        self.fail_at = fail_at

    def load(self, context: RowContext) -> Iterator[pa.RecordBatch]:
        """Yield the numbers, some at once."""
        for start in range(0, self.rows, self.rows_at_once):
            numbers = list(range(start, min(start + self.rows_at_once, self.rows)))
            if self.fail_at in numbers:
                msg = f"the source broke at {self.fail_at}"
                raise RuntimeError(msg)
            for number in numbers:
                if number in self.skip:
                    context.rejects.add(row_id(number), "skipped", "told to")
            kept = [number for number in numbers if number not in self.skip]
            columns = {"number": kept, "word": [f"number {number}" for number in kept]}
            if self.own_ids:
                columns = {"id": ["same"] * len(kept), **columns}
            yield pa.RecordBatch.from_pydict(columns)


if __name__ == "__main__":
    execute(Numbers)
