"""CSV: records that may span several lines, each of them a row, or a fault with its line number.

A misplaced quote is a fault of its line if all quotes of that line are balanced; otherwise it is
unclear where a text ends, so nothing after it is used, and the file is an error.
"""

import csv
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from dataset_errors import explained
from loaded_rows import Fault, Record
from text_tables import LONGEST_LINE, RecordTable, buffered_reader, lines_of

from fondant_spec.errors import InputDataError


@dataclass(frozen=True)
class CsvTable(RecordTable):
    """Cells separated by commas, or another `delimiter`. An empty cell is null."""

    delimiter: str = ","

    def columns(self, wanted: Collection[str]) -> Mapping[str, pa.DataType]:
        """Return the columns in the header; all cells are texts."""
        with explained(self.name), self.file.open() as file:
            return dict.fromkeys(self._header(self._reader(self._lines(file))), pa.string())

    def records(self) -> Iterator[Record]:
        """Yield the rows; one with too few or too many cells is a fault."""
        with self.file.open() as file:
            lines = self._lines(file)
            reader = self._reader(lines)
            header = self._header(reader)
            while True:
                first = reader.line_num + 1
                name = f"{self.name} line {first}"
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    self._check_quotes(str(error), first, lines)
                    yield Record(name, {}, Fault("bad_line", str(error)))
                    continue
                if not cells:
                    continue  # an empty line
                if len(cells) != len(header):
                    message = f"it has {len(cells)} cells, the first line {len(header)}"
                    if lines.number > first:
                        message += f"; a quote makes it go on to line {lines.number}"
                    yield Record(name, {}, Fault("bad_line", message))
                    continue
                texts = (cell or None for cell in cells)
                yield Record(name, dict(zip(header, texts, strict=True)))

    def _lines(self, file: Any) -> "CountedLines":
        return CountedLines(lines_of(buffered_reader(file), self.name, end=None))

    def _reader(self, lines: "CountedLines") -> Any:
        csv.field_size_limit(LONGEST_LINE)
        return csv.reader(lines, delimiter=self.delimiter, strict=True)

    def _check_quotes(self, problem: str, first: int, lines: "CountedLines") -> None:
        """Check that the record after a bad one begins on the next line.

        Raises:
            InputDataError: it may be part of a quoted text.
        """
        if "unexpected end" in problem:
            told = f"a quote that is opened after line {first - 1} is never closed"
        elif lines.number > first:
            told = (
                f"the record that begins on line {first} has a quote out of place on line "
                f"{lines.number} ({problem}), so where it ends is not known"
            )
        elif lines.line.count('"') % 2:
            told = f"line {first} has a quote without another ({problem}), so where it ends is "
            told += "not known"
        else:
            return
        msg = f"{self.name}: {told}; close it, or double it in a text."
        raise InputDataError(msg)

    def _header(self, reader: Any) -> list[str]:
        try:
            header: list[str] = next(reader, [])
        except csv.Error as error:
            msg = f"{self.name}: the first line, with the names of the columns, is broken: {error}."
            raise InputDataError(msg) from None
        twice = next((name for name in header if header.count(name) > 1), None)
        if twice is not None:
            msg = f"{self.name}: two columns are named {twice!r}; name each once."
            raise InputDataError(msg)
        return header


@dataclass
class CountedLines:
    """Lines read on demand; `line` is the last of them, and `number` its number."""

    lines: Iterator[str]
    line: str = ""
    number: int = 0

    def __iter__(self) -> Iterator[str]:
        """Yield the lines."""
        for line in self.lines:
            self.line = line
            self.number += 1
            yield line
