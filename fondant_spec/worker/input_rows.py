"""The input rows of a step: of one dataset, or of branches that share their rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fondant_spec.dataset.manifest import Field
from fondant_spec.dataset.partitions import read_batches, read_ids


@dataclass(frozen=True)
class InputRows:
    """The rows at `index_location` that are in all `branches`, with their `fields`.

    `fields` are by the component's names. `prefix` is prepended to each id, if a step reads several
    datasets in turn whose ids would collide. `first` is the first partition with rows; empty if
    there is none.
    """

    fields: Mapping[str, Field]
    index_location: str
    branches: tuple[str, ...] = ()
    prefix: str = ""
    first: str = ""

    def ids(self, partition: str) -> pa.Array:
        """Return the ids of the rows to read in a partition."""
        return self._prefixed(read_ids(self.index_location, partition, self.branches))

    def batches(
        self,
        partition: str,
        batch_rows: int | None,
        only: pa.Array | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows to read in a partition, or those of them whose ids are in `only`."""
        location = self.index_location, partition, batch_rows, self.branches
        for batch in read_batches(self.fields, *location, self._without_prefix(only)):
            yield batch.set_column(0, "id", self._prefixed(batch.column("id")))

    def head(self, names: Sequence[str], count: int) -> dict[str, list[Any]]:
        """Return the values of some fields in the first rows, at most `count` of them."""
        fields = {name: self.fields[name] for name in names}
        read = read_batches(fields, self.index_location, self.first, count, self.branches)
        batch = next(read, None) if self.first else None
        return {name: [] if batch is None else batch.column(name).to_pylist() for name in names}

    def _prefixed(self, ids: pa.Array) -> pa.Array:
        return pc.binary_join_element_wise(self.prefix, ids, "") if self.prefix else ids

    def _without_prefix(self, ids: pa.Array | None) -> pa.Array | None:
        if ids is None or not self.prefix:
            return ids
        return pc.utf8_slice_codeunits(ids, len(self.prefix))
