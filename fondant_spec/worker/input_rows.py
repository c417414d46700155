"""What a step reads: the rows of one dataset, or of branches that share their rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from fondant_spec.dataset.manifest import Field
from fondant_spec.dataset.partitions import read_batches, read_ids


@dataclass(frozen=True)
class Source:
    """The rows at `index_location` that are in all `branches`, with the fields in `inputs`.

    `inputs` are by the component's names. `prefix` stands before each id, where a step reads one
    dataset after the other and their ids would meet.
    """

    inputs: Mapping[str, Field]
    index_location: str
    branches: tuple[str, ...] = ()
    prefix: str = ""

    def ids(self, partition: str) -> pa.Array:
        """Return the ids of the rows to read in a partition."""
        return self._named(read_ids(self.index_location, partition, self.branches))

    def batches(
        self,
        partition: str,
        batch_rows: int | None,
        only: pa.Array | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows to read in a partition, or those of them with the ids in `only`."""
        where = self.index_location, partition, batch_rows, self.branches
        for batch in read_batches(self.inputs, *where, only):
            yield batch.set_column(0, "id", self._named(batch.column("id")))

    def _named(self, ids: pa.Array) -> pa.Array:
        return pc.binary_join_element_wise(self.prefix, ids, "") if self.prefix else ids
