"""Checking a component's output against its spec.

Names, types, ids and cardinality are checked as the batches pass, so that files always match the
manifest.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fondant_spec.dataset.field_mapping import FieldMapping
from fondant_spec.dataset.rejects import Rejects
from fondant_spec.errors import CardinalityError
from fondant_spec.spec.component_spec import ComponentSpec


def record_batches(returned: object, step_id: str) -> Iterator[pa.RecordBatch]:
    """Yield the record batches that a component's method returns.

    Raises:
        CardinalityError: it returns anything else, such as None for lack of a `return`.
    """
    if not isinstance(returned, Iterable):
        raise _wrong_kind(returned, step_id)
    for batch in returned:
        if not isinstance(batch, pa.RecordBatch):
            raise _wrong_kind(batch, step_id)
        yield batch


def written_paths(returned: object, step_id: str) -> tuple[str, ...]:
    """Return the paths that a component's `write` returns.

    Raises:
        CardinalityError: it returns anything else.
    """
    if isinstance(returned, Sequence) and not isinstance(returned, str):
        paths = tuple(returned)
        if all(isinstance(path, str) for path in paths):
            return paths
    msg = (
        f"{step_id}: `write` returned {returned!r:.100}, which is no list of texts; return the "
        "paths of what was written."
    )
    raise CardinalityError(msg)


def _wrong_kind(returned: object, step_id: str) -> CardinalityError:
    return CardinalityError(
        f"{step_id}: the component returned a {type(returned).__name__} where record batches are "
        "due; return a pyarrow.RecordBatch, or yield them where several are asked for."
    )


@dataclass
class OutputValidator:
    """Converts the batches that a component returns into batches of the dataset."""

    spec: ComponentSpec
    mapping: FieldMapping
    step_id: str
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
        for name, declared in self.mapping.outputs.items():
            column = self._cast(batch.column(name), declared, name)
            columns[self.mapping.output_names[name]] = column
        return pa.RecordBatch.from_pydict(columns)

    def _check_names(self, batch: pa.RecordBatch) -> None:
        returned = set(batch.schema.names)
        missing = set(self.mapping.outputs) - returned
        if missing:
            msg = (
                f"{self.step_id}: the component returned no column {_names(missing)}; see its spec."
            )
            raise CardinalityError(msg)
        if not self.mapping.outputs:
            return
        unknown = returned - set(self.mapping.outputs) - {"id"}
        if unknown:
            msg = (
                f"{self.step_id}: the component returned {_names(unknown)}, which its spec does "
                "not produce; declare the field or leave it out."
            )
            raise CardinalityError(msg)

    def _ids(self, batch: pa.RecordBatch) -> pa.Array:
        if "id" in batch.schema.names:
            return batch.column("id").cast(pa.string())
        parent = self.spec.previous_index
        if parent is None:
            msg = (
                f"{self.step_id}: the component returned no column 'id'; keep the ids it was given."
            )
            raise CardinalityError(msg)
        ids = []
        for parent_id in batch.column(parent).to_pylist():
            ids.append(f"{parent_id}-{self._children[parent_id]:05d}")
            self._children[parent_id] += 1
        return pa.array(ids, pa.string())

    def _cast(self, column: pa.Array, declared: pa.DataType, name: str) -> pa.Array:
        try:
            return column.cast(_as_written(column.type, declared))
        except pa.ArrowException as error:
            msg = f"{self.step_id}: field {name!r} should be {declared}, not {column.type}: {error}"
            raise CardinalityError(msg) from None


def check_cardinality(
    cardinality: str,
    ids_in: pa.Array,
    ids_out: pa.ChunkedArray,
    rejects: Rejects,
    step_id: str,
) -> None:
    """Check that every input row came out or was rejected exactly once, in order.

    Rows that a filter step left out without a reject are recorded as filtered.

    Raises:
        CardinalityError: a row is lost, new, duplicated, out of order, or returned and rejected.
    """
    if not len(rejects) and ids_out.equals(pa.chunked_array([ids_in])):
        return
    positions = pc.index_in(ids_out, value_set=ids_in)
    if positions.null_count:
        new = ids_out.filter(pc.is_null(positions))[0].as_py()
        msg = f"{step_id}: the component returned id {new!r}, which it was not given."
        raise CardinalityError(msg)
    rows = positions.to_numpy()
    if (np.diff(rows.astype(np.int64)) <= 0).any():
        msg = f"{step_id}: the component returned rows twice or out of order; keep the order."
        raise CardinalityError(msg)
    check_rejects(ids_in, rejects, step_id)
    lost = _lost(ids_in, rows, rejects, step_id)
    if lost and cardinality == "maps":
        rows = f"row {lost[0]!r}" if len(lost) == 1 else f"{len(lost):,} rows, {lost[0]!r} first"
        msg = f"{step_id}: the component lost {rows}; return or reject each row."
        raise CardinalityError(msg)
    for row_id in lost:
        rejects.filter(row_id)


def check_parents(
    ids_in: pa.Array,
    parents: pa.ChunkedArray | None,
    rejects: Rejects,
    step_id: str,
) -> None:
    """Check that every row of a step that explodes has a parent in the input.

    Input rows without any children are recorded as filtered. `parents` is None for a step that does
    not name them.

    Raises:
        CardinalityError: a row names a parent that is not in the input, or none.
    """
    check_rejects(ids_in, rejects, step_id)
    if parents is None:
        return
    strangers = parents.filter(pc.invert(pc.is_in(parents, value_set=ids_in)))
    if len(strangers):
        msg = (
            f"{step_id}: the component returned a row of parent {strangers[0].as_py()!r}, which it "
            "was not given."
        )
        raise CardinalityError(msg)
    known = set(parents.to_pylist()) | rejects.ids()
    for row_id in ids_in.to_pylist():
        if row_id not in known:
            rejects.filter(row_id, "no_rows", "nothing was made from it")


def check_rejects(ids_in: pa.Array, rejects: Rejects, step_id: str) -> None:
    """Check that each reject is of an input row, and is unique.

    Raises:
        CardinalityError: it is not.
    """
    strangers = rejects.ids() - set(ids_in.to_pylist())
    if strangers:
        msg = f"{step_id}: the component rejected id {min(strangers)!r}, which it was not given."
        raise CardinalityError(msg)
    twice = rejects.twice()
    if twice is not None:
        msg = f"{step_id}: the component rejected row {twice!r} more than once."
        raise CardinalityError(msg)


def _lost(ids_in: pa.Array, rows_out: np.ndarray, rejects: Rejects, step_id: str) -> list[str]:
    rejected = rejects.ids()
    left = np.ones(len(ids_in), dtype=bool)
    left[rows_out] = False
    returned = set(ids_in.filter(pa.array(~left)).to_pylist()) & rejected
    if returned:
        msg = f"{step_id}: row {min(returned)!r} was both returned and rejected; do one of them."
        raise CardinalityError(msg)
    return [
        row_id for row_id in ids_in.filter(pa.array(left)).to_pylist() if row_id not in rejected
    ]


def _as_written(returned: pa.DataType, declared: pa.DataType) -> pa.DataType:
    """Return the declared type, with lists of fixed size if they were returned as such."""
    if pa.types.is_list(declared) and pa.types.is_fixed_size_list(returned):
        item = _as_written(returned.value_type, declared.value_type)
        return pa.list_(item, returned.list_size)
    if pa.types.is_list(declared) and pa.types.is_list(returned):
        return pa.list_(_as_written(returned.value_type, declared.value_type))
    return declared


def _names(names: set[str]) -> str:
    return ", ".join(map(repr, sorted(names)))
