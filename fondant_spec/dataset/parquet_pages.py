"""A Parquet file read through a check that its pages are what its footer says.

All bounds on a file are taken from its footer, which whoever made the file wrote as they liked:
what a reader takes memory for is what the pages say, each in its own header. So the headers are
looked at as they pass, before the reader has them, and none may go beyond the footer. No further
request is made for that, but where a header is cut by the end of what was read.
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
"""What a column's pages may come to beyond the footer and a quarter: some writers leave out the
headers."""

_LARGEST_HEADER: Final = 1 << 20
_DICTIONARIES: Final = frozenset({"RLE_DICTIONARY", "PLAIN_DICTIONARY"})
_DICTIONARY_PAGE: Final = 2
_DATA_PAGES: Final = {0: (5, 2), 3: (8, 4)}
"""By kind of page: which field of its header tells of the values, and which of that the encoding.

See https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift."""
_PLAIN: Final = frozenset({0, 2, 3, 8})  # with RLE, and what refers to a dictionary
_ENCODINGS: Final = {
    4: "BIT_PACKED",
    5: "DELTA_BINARY_PACKED",
    6: "DELTA_LENGTH_BYTE_ARRAY",
    7: "DELTA_BYTE_ARRAY",
    9: "BYTE_STREAM_SPLIT",
}
"""By their number in a page's header: those by which few bytes may hold many values."""


@dataclass
class _Pages:
    """The pages of a column of a row group: what the footer leaves for those to come."""

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
        """Begin with the first page, as a reader does that reads a column once more."""
        self.next, self.unpacked, self.values = self.start, self.most_unpacked, self.most_values

    def pass_page(self, header: dict[int, Any], size: int) -> str | None:
        """Take account of a page, given its header; return what the footer did not say of it."""
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
        """Take account of the values of a page."""
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
    """Return a field that is to be a whole number; -1 where it is none."""
    value = fields.get(number)
    return value if isinstance(value, int) else -1


class CheckedFile(io.RawIOBase):
    """A file for pyarrow's reader, which refuses pages that go beyond the footer.

    Raises:
        InputDataError: from `read` and `read_buffer`, at such a page.
        OSError: likewise, where there is none.
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
        # Of a column without values no page is read, and its offset may be that of the file.
        held = (_pages_of(column) for column in columns if column.num_values)
        self._pages = sorted(held, key=lambda pages: pages.start)
        self._starts = [pages.start for pages in self._pages]

    def readable(self) -> bool:
        """Return whether it can be read."""
        return True

    def seekable(self) -> bool:
        """Return whether it has places."""
        return True

    def tell(self) -> int:
        """Return the place in the file."""
        return self._file.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place in the file."""
        return self._file.seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, once the pages that begin in them are checked."""
        start = self._file.tell()
        data = self._file.read(size)
        self._check_met(start, data)
        return data

    def read_buffer(self, size: int) -> pa.Buffer:
        """Return the same as a buffer of pyarrow's, whose reader asks for it by this name.

        Of a file on disk it is in memory of pyarrow's own, which is used again: bytes of Python's
        are laid out anew each time, which takes more than twice the time.
        """
        if not isinstance(self._file, io.BufferedReader):  # which would read bytes and copy them
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
        """Check the pages that begin in a part of the file, of all columns that it is of."""
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
        """Return a page's header and its size, from bytes at hand or, if it is cut, the file."""
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
    """Open a Parquet file whose pages are held against its footer.

    `source` is a path or an open file, `name` how it is called. Reading raises `InputDataError` at
    a page that goes beyond the footer.
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
