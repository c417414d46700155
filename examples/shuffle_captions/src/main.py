"""Give each image the caption of another."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from fondant_spec.component import GatherComponent, RowContext
from fondant_spec.executor import execute


class ShuffleCaptions(GatherComponent):
    """Shuffles the captions over all rows."""

    def __init__(self, *, seed: int = 0) -> None:
        self._seed = seed

    def gather(
        self, batches: Iterator[pa.RecordBatch], context: RowContext
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows with their new captions."""
        table = pa.Table.from_batches(batches)
        order = np.random.default_rng(self._seed).permutation(len(table))
        dealt = table["caption"].take(order)
        shuffled = pa.table({"id": table["id"], "shuffled_caption": dealt})
        yield from shuffled.combine_chunks().to_batches()


if __name__ == "__main__":
    execute(ShuffleCaptions)
