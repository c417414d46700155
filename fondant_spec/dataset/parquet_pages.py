"""Reading a Parquet file while checking that its pages agree with its footer.

All bounds on a file are derived from its footer, which is untrusted: a reader allocates memory by
the headers of the pages. So headers are checked as they pass, before the reader sees them, and none
may exceed the footer. This takes no further request, except for a header that is cut off at the end
of what was read.
"""

import io
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from fondant_spec.dataset.thrift_compact import read_struct
from fondant_spec.errors import InputDataError

_SLACK_BYTES: Final = 1 << 20
"""How much a column's pages may exceed the footer and a quarter, since some writers leave out
the headers.
"""

_LARGEST_HEADER: Final = 1 << 20
_DICTIONARIES: Final = frozenset({"RLE_DICTIONARY", "PLAIN_DICTIONARY"})
_DICTIONARY_PAGE: Final = 2
_DATA_PAGES: Final = {0: (5, 2), 3: (8, 4)}
"""By page type: the header field about values, and the field of that with the encoding.

See https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift.
"""
_PLAIN: Final = frozenset({0, 2, 3, 8})  # including RLE and dictionary references
_ENCODINGS: Final = {
    4: "BIT_PACKED",
    5: "DELTA_BINARY_PACKED",
    6: "DELTA_LENGTH_BYTE_ARRAY",
    7: "DELTA_BYTE_ARRAY",
    9: "BYTE_STREAM_SPLIT",
}
"""By number in a page's header: encodings in which few bytes may hold many values."""


@dataclass
class _Pages:
    """The pages of a column of a row group: what remains of the footer's totals."""

    path: str
    start: int
    end: int
    encodings: frozenset[str]
    most_unpacked: int
    most_values: int
    dictionary: int

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Start over with the first page, as a reader does that reads a column again."""
        self.next, self.unpacked, self.values = self.start, self.most_unpacked, self.most_values

    def pass_page(self, header: dict[int, Any], size: int) -> str | None:
        """Count a page, given its header; return in which way it exceeds the footer, if any."""
        kind, unpacked, packed = (_whole(header, number) for number in (1, 2, 3))
        if unpacked < 0 or packed < 0:
            return "a page of a negative size"
        self.next += size + packed
        self.unpacked -= unpacked
        if self.unpacked < 0:
            return f"pages that unpack to over {self.most_unpacked >> 10} KB"
        if kind == _DICTIONARY_PAGE:
            told = self.encodings & _DICTIONARIES and size + packed <= self.dictionary
            return None if told else "a dictionary, or a larger one"
        return self._pass_values(header, *_DATA_PAGES[kind]) if kind in _DATA_PAGES else None

    def _pass_values(self, header: dict[int, Any], field: int, encoding_field: int) -> str | None:
        """Count the values of a page."""
        data = header.get(field)
        data = data if isinstance(data, dict) else {}
        self.values -= max(_whole(data, 1), 0)
        if self.values < 0:
            return f"over {self.most_values} values"
        encoding = _whole(data, encoding_field)
        if encoding not in _PLAIN and _ENCODINGS.get(encoding) not in self.encodings:
            return "values in another encoding"
        return None


def _whole(fields: Mapping[int, Any], number: int) -> int:
    """Return a field that must be an integer; -1 if it is not."""
    value = fields.get(number)
    return value if isinstance(value, int) else -1


class CheckedFile(io.RawIOBase):
    """A file for pyarrow's reader that rejects pages that exceed the footer.

    Raises:
        InputDataError: from `read` and `read_buffer`, at such a page.
        OSError: likewise, if there is no page.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        super().__init__()
        self._file, self._name = file, name
        self._size = file.seek(0, io.SEEK_END)
        file.seek(0)
        self._pages: list[_Pages] = []
        self._starts: list[int] = []

    def hold_to(self, metadata: pq.FileMetaData) -> None:
        """Check all reads from now on against the file's footer."""
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        columns = [group.column(number) for group in groups for number in range(group.num_columns)]
        # For a column without values, no page is read, and its offset may be the start of the file.
        held = (_pages_of(column) for column in columns if column.num_values)
        self._pages = sorted(held, key=lambda pages: pages.start)
        self._starts = [pages.start for pages in self._pages]

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True: the file has random access."""
        return True

    def tell(self) -> int:
        """Return the position in the file."""
        return self._file.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        """Seek to a position in the file."""
        return self._file.seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, after checking the pages that begin in them."""
        start = self._file.tell()
        data = self._file.read(size)
        self._check_met(start, data)
        return data

    def read_buffer(self, size: int) -> pa.Buffer:
        """Return the same as a pyarrow buffer; pyarrow's reader calls this method by its name.

        For a file on disk, it is in pyarrow's own memory, which is reused: Python's bytes are
        allocated anew each time, which takes more than twice as long.
        """
        if not isinstance(self._file, io.BufferedReader):  # it would read bytes and copy them
            return pa.py_buffer(self.read(size))
        start = self._file.tell()
        buffer = pa.allocate_buffer(max(0, min(size, self._size - start)))
        data = memoryview(buffer).cast("B")
        count = self._file.readinto(data)
        self._check_met(start, data[:count])
        return buffer.slice(0, count)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def _check_met(self, start: int, data: "memoryview | bytes") -> None:
        """Check the pages that begin in a part of the file, in all columns that it overlaps."""
        for number in range(bisect_right(self._starts, start + len(data) - 1) - 1, -1, -1):
            if self._pages[number].end > start:
                self._check(self._pages[number], start, data)

    def _check(self, pages: _Pages, start: int, data: "memoryview | bytes") -> None:
        end = start + len(data)
        if start <= pages.start:
            pages.restart()
        while pages.next < min(end, pages.end):
            at = pages.next - start
            header, size = self._header(pages.next, memoryview(data)[at:] if at >= 0 else b"")
            problem = pages.pass_page(header, size)
            if problem is not None:
                msg = (
                    f"{self._name}: the column {pages.path} holds {problem}, which the end of the "
                    "file does not say; it is damaged, or made to mislead. Remove it, and have it "
                    "made again."
                )
                raise InputDataError(msg)

    def _header(self, place: int, data: "memoryview | bytes") -> tuple[dict[int, Any], int]:
        """Return a page's header and its size, from `data` or, if it is cut off there, the file."""
        try:
            try:
                return read_struct(data)
            except IndexError:
                here = self._file.tell()
                self._file.seek(place)
                more = self._file.read(_LARGEST_HEADER)
                self._file.seek(here)
                return read_struct(more)
        except (IndexError, ValueError):
            msg = f"there is no header of a page at byte {place}"
            raise OSError(msg) from None


def open_checked(source: str | Path | IO[bytes], name: str, **options: Any) -> pq.ParquetFile:
    """Open a Parquet file whose pages are checked against its footer.

    `source` is a path or an open file, `name` is used in messages. Reading raises `InputDataError`
    at a page that exceeds the footer.
    """
    file = Path(source).open("rb") if isinstance(source, str | Path) else source  # noqa: SIM115 - it is the reader's
    checked = CheckedFile(file, name)
    parquet = pq.ParquetFile(checked, **options)
    checked.hold_to(parquet.metadata)
    return parquet


def _pages_of(column: Any) -> _Pages:
    first = int(column.data_page_offset)
    dictionary = column.dictionary_page_offset
    start = dictionary if dictionary and dictionary < first else first
    claimed = int(column.total_uncompressed_size)
    encodings = frozenset(column.encodings)
    told = first - start if start < first else int(column.total_compressed_size)
    return _Pages(
        path=column.path_in_schema,
        start=start,
        end=start + int(column.total_compressed_size),
        encodings=encodings,
        most_unpacked=claimed + claimed // 4 + _SLACK_BYTES,
        most_values=int(column.num_values),
        dictionary=told,
    )
