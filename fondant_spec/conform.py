"""Holding what a component returns against what its spec promises.

Names, types, ids and cardinality are checked as the batches pass, so that whatever reaches a file
is what the manifest will say.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fondant_spec.binding import Binding, satisfies
from fondant_spec.component_spec import ComponentSpec
from fondant_spec.errors import CardinalityError
from fondant_spec.rejects import Rejects


@dataclass
class Conform:
    """Turns the batches that a component returns into batches of the dataset."""

    spec: ComponentSpec
    binding: Binding
    where: str
    _children: Counter[str] = field(default_factory=Counter)

    def batches(self, returned: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield each returned batch with the dataset's names and types, `id` first."""
        for batch in returned:
            yield self.batch(batch)

    def batch(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return a batch with the dataset's names and types, `id` first.

        Raises:
            CardinalityError: a column is missing, unknown, or cannot be cast to its type.
        """
        self._check_names(batch)
        columns = {"id": self._ids(batch)}
        for name, declared in self.binding.outputs.items():
            column = self._cast(batch.column(name), declared, name)
            columns[self.binding.output_names[name]] = column
        return pa.RecordBatch.from_pydict(columns)

    def _check_names(self, batch: pa.RecordBatch) -> None:
        returned = set(batch.schema.names)
        missing = set(self.binding.outputs) - returned
        if missing:
            msg = f"{self.where}: the component returned no column {_names(missing)}; see its spec."
            raise CardinalityError(msg)
        if not self.binding.outputs:
            return
        unknown = returned - set(self.binding.outputs) - {"id"}
        if unknown:
            msg = (
                f"{self.where}: the component returned {_names(unknown)}, which its spec does not "
                "produce; declare the field or leave it out."
            )
            raise CardinalityError(msg)

    def _ids(self, batch: pa.RecordBatch) -> pa.Array:
        if "id" in batch.schema.names:
            return batch.column("id").cast(pa.string())
        parent = self.spec.previous_index
        if parent is None:
            msg = f"{self.where}: the component returned no column 'id'; keep the ids it was given."
            raise CardinalityError(msg)
        ids = []
        for parent_id in batch.column(parent).to_pylist():
            ids.append(f"{parent_id}-{self._children[parent_id]:05d}")
            self._children[parent_id] += 1
        return pa.array(ids, pa.string())

    def _cast(self, column: pa.Array, declared: pa.DataType, name: str) -> pa.Array:
        if satisfies(column.type, declared) and not pa.types.is_large_binary(column.type):
            return column
        try:
            return column.cast(declared)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            msg = f"{self.where}: field {name!r} should be {declared}, not {column.type}: {error}"
            raise CardinalityError(msg) from None


def check_cardinality(
    cardinality: str,
    ids_in: pa.Array,
    ids_out: pa.ChunkedArray,
    rejects: Rejects,
    where: str,
) -> None:
    """Make sure that every row that went in came out or was rejected, in order.

    Rows that a step which filters left out without a word are recorded as filtered.

    Raises:
        CardinalityError: a row is lost, new, doubled, out of order, or both returned and rejected.
    """
    if cardinality == "explodes":
        return
    if not len(rejects) and ids_out.equals(pa.chunked_array([ids_in])):
        return
    positions = pc.index_in(ids_out, value_set=ids_in)
    if positions.null_count:
        new = ids_out.filter(pc.is_null(positions))[0].as_py()
        msg = f"{where}: the component returned id {new!r}, which it was not given."
        raise CardinalityError(msg)
    rows = positions.to_numpy()
    if (np.diff(rows.astype(np.int64)) <= 0).any():
        msg = f"{where}: the component returned rows twice or out of order; keep the order."
        raise CardinalityError(msg)
    lost = _lost(ids_in, rows, rejects, where)
    if lost and cardinality == "maps":
        msg = f"{where}: the component lost row {lost[0]!r} and {len(lost) - 1} more; reject them."
        raise CardinalityError(msg)
    for row_id in lost:
        rejects.filter(row_id)


def _lost(ids_in: pa.Array, rows_out: np.ndarray, rejects: Rejects, where: str) -> list[str]:
    rejected = rejects.ids()
    left = np.ones(len(ids_in), dtype=bool)
    left[rows_out] = False
    returned = set(ids_in.filter(pa.array(~left)).to_pylist()) & rejected
    if returned:
        msg = f"{where}: row {min(returned)!r} was both returned and rejected; do one of them."
        raise CardinalityError(msg)
    return [
        row_id for row_id in ids_in.filter(pa.array(left)).to_pylist() if row_id not in rejected
    ]


def _names(names: set[str]) -> str:
    return ", ".join(map(repr, sorted(names)))
