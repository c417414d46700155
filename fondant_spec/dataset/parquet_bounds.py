"""Bounds on the unpacked size of a Parquet file, from its footer: a kilobyte may hold gigabytes.

A column that unpacks to far more than its own bytes is rejected, since no real dataset repeats
itself that often. A text or file that is repeated through a dictionary is stored once; a reader
should keep the dictionary encoding, or read few rows at a time.
"""

from collections.abc import Collection, Iterator
from typing import Any, Final, NamedTuple

import pyarrow.parquet as pq

from fondant_spec.errors import InputDataError

ALWAYS_BYTES: Final = 256 << 20
"""Bytes that a column of a row group may always unpack to."""

MOST_TIMES: Final = 200
"""How many times its own bytes it may unpack to beyond that."""

_WIDTHS: Final = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 12}
_DICTIONARIES: Final = frozenset({"RLE_DICTIONARY", "PLAIN_DICTIONARY"})


class ColumnChunk(NamedTuple):
    """A column of a row group. Sizes are in bytes; `dictionary` is that of a packed dictionary.

    `prefixed` means delta encoding: each text holds only its difference from the previous one.
    """

    group: int
    path: str
    packed: int
    unpacked: int
    dictionary: int
    is_text: bool
    prefixed: bool

    @property
    def repeats(self) -> bool:
        """Whether its texts or files may be repeated through a dictionary."""
        return self.is_text and self.dictionary > 0


def column_chunks(
    metadata: pq.FileMetaData, columns: Collection[str] | None = None
) -> Iterator[ColumnChunk]:
    """Yield the columns of each row group; `columns` selects some by name."""
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for index in range(group.num_columns):
            chunk = group.column(index)
            if columns is None or chunk.path_in_schema.split(".")[0] in columns:
                yield _column_chunk(number, chunk)


def check_unpacked(
    name: str, metadata: pq.FileMetaData, columns: Collection[str] | None = None
) -> None:
    """Check that no selected column unpacks to far more than its own bytes.

    Raises:
        InputDataError: one does; `name` is what the message calls the file.
    """
    for chunk in column_chunks(metadata, columns):
        if chunk.unpacked > max(ALWAYS_BYTES, MOST_TIMES * chunk.packed):
            msg = (
                f"{name}: row group {chunk.group}: the column {chunk.path} unpacks from "
                f"{chunk.packed} bytes to {chunk.unpacked >> 20} MB, over {MOST_TIMES} times as "
                "much, so it is not read. Where that is meant, write the file again without "
                "compression, or in smaller row groups."
            )
            raise InputDataError(msg)


def _column_chunk(group: int, chunk: Any) -> ColumnChunk:
    packed, kind = int(chunk.total_compressed_size), chunk.physical_type
    dictionary = 0
    if chunk.dictionary_page_offset is not None and _DICTIONARIES.intersection(chunk.encodings):
        dictionary = max(int(chunk.data_page_offset - chunk.dictionary_page_offset), 1)
    values = int(chunk.num_values) * _WIDTHS.get(kind, 4)  # a text takes at least its offset
    return ColumnChunk(
        group=group,
        path=chunk.path_in_schema,
        packed=packed,
        unpacked=max(int(chunk.total_uncompressed_size), values),
        dictionary=dictionary,
        is_text=kind == "BYTE_ARRAY",
        prefixed="DELTA_BYTE_ARRAY" in chunk.encodings,
    )
