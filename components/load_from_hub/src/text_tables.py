"""JSON and text files, read line by line: each line is a row, or a fault with its number."""

import io
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Final

import pyarrow as pa
from data_files import DataFile
from dataset_errors import explained
from loaded_rows import Chunk, Fault, Record, chunked
from typed_cells import MOST_VALUES, Number, parsed_json

from fondant_spec.errors import InputDataError
from image_toolkit.text_encodings import characters, first_character

LONGEST_LINE: Final = 64 << 20
"""The most bytes that are held of one line, or of one cell."""

_WHOLE_DOCUMENT: Final = 512 << 20
_DOCUMENT_VALUES: Final = 4 * MOST_VALUES
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
        """Yield the rows in file order."""

    def columns(self, wanted: Collection[str]) -> Mapping[str, pa.DataType]:
        """Return the columns, reading rows until those wanted are found."""
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
class JsonLines(RecordTable):
    """One object per line, or one array of objects."""

    def records(self) -> Iterator[Record]:
        """Yield the rows; a line that is not an object is a fault."""
        with self.file.open() as file:
            buffered = buffered_reader(file)
            if first_character(buffered.peek(_SHOWN)[:_SHOWN]) == "[":
                yield from self._document(buffered)
                return
            for number, line in enumerate(lines_of(buffered, self.name), 1):
                if line.strip():
                    yield _record(f"{self.name} line {number}", line)

    def _document(self, file: IO[bytes]) -> Iterator[Record]:
        content = file.read(_WHOLE_DOCUMENT + 1)
        if len(content) > _WHOLE_DOCUMENT:
            msg = f"{self.name}: is one JSON array of over 512 MB; write an object a line instead."
            raise InputDataError(msg)
        for number, value in enumerate(parsed_json(content, _DOCUMENT_VALUES)):
            yield _checked(f"{self.name} entry {number}", value)


@dataclass(frozen=True)
class TextLines(RecordTable):
    """One text per line, in the column `text`."""

    def records(self) -> Iterator[Record]:
        """Yield the lines, without their line endings."""
        with self.file.open() as file:
            for number, line in enumerate(lines_of(buffered_reader(file), self.name), 1):
                text = line.removesuffix("\n").removesuffix("\r")
                yield Record(f"{self.name} line {number}", {"text": text})


def _record(name: str, line: str) -> Record:
    try:
        line.encode()  # a line that is not text is not JSON either
        return _checked(name, parsed_json(line))
    except ValueError as error:
        return Record(name, {}, Fault("bad_line", f"it is not JSON: {error}"))


def _checked(name: str, value: Any) -> Record:
    if isinstance(value, dict):
        return Record(name, value)
    shown = f"{str(value)[:_SHOWN]!r}"
    return Record(name, {}, Fault("bad_line", f"it is {shown}, not an object with columns"))


def _kind(cell: Any) -> pa.DataType:
    """Return the type of a cell for messages; null if it is unknown."""
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


def buffered_reader(file: Any) -> io.BufferedReader:
    """Return an open file as one whose start can be peeked at."""
    return io.BufferedReader(file)


def lines_of(file: io.BufferedReader, name: str, end: str | None = "\n") -> Iterator[str]:
    """Yield the lines of a text file with their line endings: `end`, or any if that is None.

    `name` is the name of the file in messages.

    Raises:
        InputDataError: a line is too long to be held.
    """
    text = characters(file, end)
    while line := text.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            msg = f"{name}: a line has over {LONGEST_LINE >> 20} MB; is it a text file?"
            raise InputDataError(msg)
        yield line
