"""Rows on their way to a model, each with the cell to prepare."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from image_toolkit.images.image_errors import NotAnImageError
from image_toolkit.models.runtime.arrow_cells import Cells

SAMPLES: Final = 16
"""The number of cells to try beforehand, where settings for a GPU are found by trial."""


class UnusableError(Exception):
    """A cell that cannot go to the model; `reason` is a short code for the reject table."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle it with its arguments, for another process."""
        return type(self), (self.reason, str(self))


@dataclass(frozen=True)
class ArrowCell:
    """A cell that is still in Arrow's memory; reading it makes a short-lived copy."""

    column: Cells
    number: int


@dataclass(frozen=True)
class FeedRow:
    """A row on its way to the model: its id, the cell to prepare, and other fields it needs."""

    id: str
    data: Any
    fields: dict[str, Any] = field(default_factory=dict)

    def cell(self) -> Any:
        """Return the cell to prepare.

        Raises:
            UnusableError: it is null.
        """
        cell = self.data
        return _there(cell.column.value(cell.number) if isinstance(cell, ArrowCell) else cell)

    def file(self) -> bytes | memoryview:
        """Return the cell to prepare, which must be binary, without a copy.

        Raises:
            UnusableError: it is null.
        """
        cell = self.data
        there = cell.column.view(cell.number) if isinstance(cell, ArrowCell) else cell
        file: bytes | memoryview = _there(there)
        return file


def rows_of(
    batches: Iterator[pa.RecordBatch],
    column: str,
    others: tuple[str, ...] = (),
) -> Iterator[FeedRow]:
    """Yield the rows of all batches, so that model batches need not align with record batches."""
    for batch in batches:
        cells = Cells(batch.column(column))
        beside = {name: batch.column(name) for name in others if name in batch.schema.names}
        for number, row_id in enumerate(batch.column("id").to_pylist()):
            fields = {name: values[number].as_py() for name, values in beside.items()}
            yield FeedRow(row_id, ArrowCell(cells, number), fields)


def usable(prepare: Callable[[Any], Any], cells: Sequence[Any]) -> list[Any]:
    """Return the cells that can be prepared; the others are rejected when their turn comes."""
    items = []
    for cell in cells:
        try:
            items.append(prepare(cell))
        except (NotAnImageError, UnusableError):
            continue
    return items


def _there(cell: Any) -> Any:
    if cell is None:
        raise UnusableError(reason="missing", message="the cell is null")
    return cell
