"""CSV, JSON and lines of text, a line at a time: each is a row, or a fault with its number."""

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Final

import pyarrow as pa
from data_files import DataFile
from dataset_errors import explained
from loaded_rows import Chunk, Fault, Record, chunked
from typed_cells import Number, parsed_json

from fondant_spec.errors import InputDataError

LONGEST_LINE: Final = 64 << 20
"""The most bytes that are held of one line, or of one cell."""

_WHOLE_DOCUMENT: Final = 512 << 20
_SHOWN: Final = 80


@dataclass(frozen=True)
class RecordTable(ABC):
    """A file whose rows are read one by one."""

    file: DataFile

    @property
    def name(self) -> str:
        """The file's path."""
        return self.file.name

    @abstractmethod
    def records(self) -> Iterator[Record]:
        """Yield the rows as they come."""

    def columns(self, wanted: Collection[str]) -> Mapping[str, pa.DataType]:
        """Return the columns of as many rows as it takes to find those wanted."""
        found: dict[str, pa.DataType] = {}
        with explained(self.file.name):
            for record in self.records():
                for column, cell in record.cells.items():
                    if pa.types.is_null(found.setdefault(column, pa.null())):
                        found[column] = _kind(cell)
                if found and all(c in found and found[c] != pa.null() for c in wanted):
                    break
        return found

    def chunks(self, columns: Sequence[str], rows: int) -> Iterator[Chunk]:
        """Yield the rows, at most `rows` at a time."""
        with explained(self.file.name):
            yield from chunked(self.records(), columns, rows)


@dataclass(frozen=True)
class CsvTable(RecordTable):
    """Cells between commas, or whatever `delimiter` is. A cell with nothing in it is null."""

    delimiter: str = ","

    def columns(self, wanted: Collection[str]) -> Mapping[str, pa.DataType]:
        """Return the columns that the first line names; all cells are texts."""
        with explained(self.name), self.file.open() as file:
            return dict.fromkeys(self._header(self._reader(file)), pa.string())

    def records(self) -> Iterator[Record]:
        """Yield the rows; one with too few or too many cells is a fault."""
        with self.file.open() as file:
            reader = self._reader(file)
            header = self._header(reader)
            while True:
                first = reader.line_num + 1
                name = f"{self.name} line {first}"
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    if "unexpected end" in str(error):
                        raise self._unclosed(first) from None
                    yield Record(name, {}, Fault("bad_line", str(error)))
                    continue
                if not cells:
                    continue  # an empty line
                if len(cells) != len(header):
                    message = f"it has {len(cells)} cells, the first line {len(header)}"
                    yield Record(name, {}, Fault("bad_line", message))
                    continue
                texts = (cell or None for cell in cells)
                yield Record(name, dict(zip(header, texts, strict=True)))

    def _reader(self, file: IO[bytes]) -> Any:
        csv.field_size_limit(LONGEST_LINE)
        # Bytes that are no text are kept as half surrogates, and told where a text is made of them.
        lines = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
        return csv.reader(_bounded(lines, self.name), delimiter=self.delimiter, strict=True)

    def _unclosed(self, line: int) -> InputDataError:
        problem = f"a quote that is opened after line {line - 1} is never closed"
        return InputDataError(f"{self.name}: {problem}; close it, or double it in a text.")

    def _header(self, reader: Any) -> list[str]:
        header: list[str] = next(reader, [])
        twice = next((name for name in header if header.count(name) > 1), None)
        if twice is not None:
            msg = f"{self.name}: two columns are named {twice!r}; name each once."
            raise InputDataError(msg)
        return header


@dataclass(frozen=True)
class JsonLines(RecordTable):
    """An object a line, or one array of objects."""

    def records(self) -> Iterator[Record]:
        """Yield the rows; a line that is no object is a fault."""
        with self.file.open() as file:
            buffered = _buffered(file)
            if _first_character(buffered) == b"[":
                yield from self._document(buffered)
                return
            for number, line in enumerate(_lines(buffered, self.name), 1):
                text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                if text.strip():
                    yield _record(f"{self.name} line {number}", text)

    def _document(self, file: IO[bytes]) -> Iterator[Record]:
        content = file.read(_WHOLE_DOCUMENT + 1)
        if len(content) > _WHOLE_DOCUMENT:
            msg = f"{self.name}: is one JSON array of over 512 MB; write an object a line instead."
            raise InputDataError(msg)
        for number, value in enumerate(parsed_json(content)):
            yield _checked(f"{self.name} entry {number}", value)


@dataclass(frozen=True)
class TextLines(RecordTable):
    """A text a line, in the column `text`."""

    def records(self) -> Iterator[Record]:
        """Yield the lines, without their ends."""
        with self.file.open() as file:
            for number, line in enumerate(_lines(_buffered(file), self.name), 1):
                text = line.removesuffix(b"\n").removesuffix(b"\r")
                decoded = text.decode("utf-8-sig" if number == 1 else "utf-8", "surrogateescape")
                yield Record(f"{self.name} line {number}", {"text": decoded})


def _record(name: str, line: bytes) -> Record:
    try:
        return _checked(name, parsed_json(line))
    except ValueError as error:
        return Record(name, {}, Fault("bad_line", f"it is not JSON: {error}"))


def _checked(name: str, value: Any) -> Record:
    if isinstance(value, dict):
        return Record(name, value)
    shown = f"{str(value)[:_SHOWN]!r}"
    return Record(name, {}, Fault("bad_line", f"it is {shown}, not an object with columns"))


def _kind(cell: Any) -> pa.DataType:
    """Return the type of a cell, as messages say it; null where it is not known."""
    if isinstance(cell, Number):
        return pa.float64() if any(c in cell for c in ".eEN") else pa.int64()
    if isinstance(cell, str):
        return pa.string()
    if isinstance(cell, list):
        return pa.list_(_kind(cell[0]) if cell else pa.null())
    if isinstance(cell, dict):
        return pa.struct([(key, _kind(value)) for key, value in cell.items()])
    if isinstance(cell, bytes):
        return pa.binary()
    return pa.bool_() if isinstance(cell, bool) else pa.null()


def _first_character(file: io.BufferedReader) -> bytes:
    return file.peek(_SHOWN).removeprefix(b"\xef\xbb\xbf").lstrip()[:1]


def _buffered(file: Any) -> io.BufferedReader:
    return io.BufferedReader(file)


def _lines(file: IO[bytes], name: str) -> Iterator[bytes]:
    while line := file.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise _too_long(name)
        yield line


def _bounded(file: IO[str], name: str) -> Iterator[str]:
    while line := file.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise _too_long(name)
        yield line


def _too_long(name: str) -> InputDataError:
    return InputDataError(f"{name}: a line has over {LONGEST_LINE >> 20} MB; is it a text file?")
