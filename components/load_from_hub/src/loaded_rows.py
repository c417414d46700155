"""Loaded rows before they are typed: named rows, cells as in the source, and faults."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import pyarrow as pa
from dataset_errors import columns_told

from fondant_spec.errors import InputDataError, did_you_mean

_CHUNK_BYTES: Final = 16 << 20

Cells: TypeAlias = pa.Array | list[Any]
Accepts = Callable[[pa.DataType], bool]


class Fault(NamedTuple):
    """Why a row cannot be used; `reason` is a short code for the reject table."""

    reason: str
    message: str


class Record(NamedTuple):
    """One row. `name` is used in messages: a file's path, or a file and a line."""

    name: str
    cells: Mapping[str, Any]
    fault: Fault | None = None


@dataclass(frozen=True)
class Chunk:
    """Some rows, by column: an Arrow array, or values as in a text file.

    `faults` says, by position, which rows cannot be used; their cells are null.
    """

    names: Sequence[str]
    cells: Mapping[str, Cells]
    faults: Mapping[int, Fault] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of rows, including faulty ones."""
        return len(self.names)

    def head(self, count: int) -> "Chunk":
        """Return the first rows."""
        if count >= len(self):
            return self
        cells = {name: column[:count] for name, column in self.cells.items()}
        faults = {row: fault for row, fault in self.faults.items() if row < count}
        return Chunk(self.names[:count], cells, faults)


class Table(Protocol):
    """A collection of rows: a file, an archive, or a folder of images."""

    @property
    def name(self) -> str:
        """The name used in messages."""

    def columns(self, wanted: Collection[str]) -> Mapping[str, pa.DataType]:
        """Return the columns, reading until those wanted are found; null means any type."""

    def chunks(self, columns: Sequence[str], rows: int) -> Iterator[Chunk]:
        """Yield the given columns of all rows, at most `rows` at a time, in a stable order."""


@dataclass(frozen=True)
class Source:
    """A split of a dataset, ready to be read.

    `name` is used in messages. `columns` are the types of its cells; null if they follow the step's
    declaration. `image_columns` are those that the dataset itself declares as images, and `classes`
    the names of classes by column. `open_file` returns the bytes of a file that a cell refers to.
    `commit` is that of a dataset on the hub. `hint` is added to errors about missing columns.
    `twins` are columns with the same content.
    """

    name: str
    tables: Sequence[Table]
    columns: Mapping[str, pa.DataType]
    open_file: Callable[[str], bytes]
    image_columns: frozenset[str] = frozenset()
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    commit: str | None = None
    hint: str = ""
    twins: frozenset[str] = frozenset()

    def chunks(self, columns: Sequence[str], rows: int) -> Iterator[Chunk]:
        """Yield the given columns of all rows, at most `rows` at a time, in a stable order."""
        for table in self.tables:
            yield from table.chunks(columns, rows)

    def require(
        self, columns: Iterable[str], accepts: Accepts, kind: str, advice: str = ""
    ) -> None:
        """Check that the columns exist, with types that `accepts` recognises as `kind`.

        Raises:
            InputDataError: lists the existing columns, and ends with `advice`.
        """
        for column in columns:
            if column not in self.columns:
                problem = f"there is no column {column!r}{did_you_mean(column, list(self.columns))}"
            elif not accepts(self.columns[column]):
                problem = f"column {column!r} is not {kind}, but {self.columns[column]}."
            else:
                continue
            known = columns_told(self.columns, self.image_columns)
            words = [f"{self.name}:", problem, known, self.hint, advice]
            raise InputDataError(" ".join(filter(None, words)))


def columns_together(
    name: str, tables: Iterable[Table], wanted: Collection[str]
) -> dict[str, pa.DataType]:
    """Return the columns of all tables; each table must have all wanted ones that any has.

    Raises:
        InputDataError: a table lacks a column; both are named.
    """
    together: dict[str, pa.DataType] = {}
    missing: dict[str, str] = {}
    for table in tables:
        found = table.columns(wanted)
        for column in wanted:
            if column not in found:
                missing.setdefault(column, table.name)
        for column, type_ in found.items():
            if pa.types.is_null(together.get(column, pa.null())):
                together[column] = type_
    for column, table_name in missing.items():
        if column in together:
            problem = f"there is no column {column!r} in {table_name}, while other files have it."
            msg = f"{name}: {problem}"
            raise InputDataError(msg)
    return together


def chunked(records: Iterable[Record], columns: Sequence[str], rows: int) -> Iterator[Chunk]:
    """Yield records as chunks of at most `rows`, and of about 16 MB."""
    held: list[Record] = []
    size = 0
    for record in records:
        held.append(record)
        size += sum(len(cell) for cell in record.cells.values() if isinstance(cell, str | bytes))
        if len(held) >= rows or size >= _CHUNK_BYTES:
            yield _chunk(held, columns)
            held, size = [], 0
    if held:
        yield _chunk(held, columns)


def _chunk(records: Sequence[Record], columns: Sequence[str]) -> Chunk:
    faults = {row: record.fault for row, record in enumerate(records) if record.fault}
    cells: dict[str, Cells] = {c: [record.cells.get(c) for record in records] for c in columns}
    return Chunk([record.name for record in records], cells, faults)
