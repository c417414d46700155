"""Make rows with large values."""

from collections.abc import Iterator

import pyarrow as pa

from fondant_spec.component import LoadComponent, RowContext
from fondant_spec.executor import execute


class Pictures(LoadComponent):
    """Makes values that differ in their first bytes."""

    def __init__(self, *, rows: int = 10, size: int = 1_000_000) -> None:
        self.rows = rows
        self.size = size

    def load(self, context: RowContext) -> Iterator[pa.RecordBatch]:
        """Yield a few at once."""
        for start in range(0, self.rows, 8):
            numbers = range(start, min(start + 8, self.rows))
            images = [f"{number:08d}".encode().ljust(self.size, b"x") for number in numbers]
            yield pa.RecordBatch.from_pydict({"image": pa.array(images, pa.binary())})


if __name__ == "__main__":
    execute(Pictures)
