"""A table that lists the images of a folder by `filename`, as in SimpleTuner."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa
from loaded_rows import Chunk, Table

LISTED: Final = "filename"
_FILE_NAME: Final = "file_name"


@dataclass(frozen=True)
class ListedImages:
    """Wraps a table, and renames its column `filename` to `file_name`, as in metadata."""

    table: Table

    @property
    def name(self) -> str:
        """The name used in messages."""
        return self.table.name

    def columns(self, wanted: Collection[str]) -> Mapping[str, pa.DataType]:
        """Return the columns."""
        found = self.table.columns([_theirs(column) for column in wanted])
        return {_ours(column): kind for column, kind in found.items()}

    def chunks(self, columns: Sequence[str], rows: int) -> Iterator[Chunk]:
        """Yield the given columns of all rows."""
        for chunk in self.table.chunks([_theirs(column) for column in columns], rows):
            cells = {_ours(column): values for column, values in chunk.cells.items()}
            yield replace(chunk, cells=cells)


def _theirs(column: str) -> str:
    return LISTED if column == _FILE_NAME else column


def _ours(column: str) -> str:
    return _FILE_NAME if column == LISTED else column
