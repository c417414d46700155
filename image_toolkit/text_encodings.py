"""Decoding of text files, by UTF-8 or their byte order mark, and of file names."""

import codecs
import io
import os
from pathlib import Path
from typing import Final

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like the next one
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LONGEST_MARK: Final = 4


def encoding_of(start: bytes) -> str:
    """Return the encoding of a text file that begins like this."""
    return next((name for mark, name in _MARKS if start.startswith(mark)), "utf-8")


def decoded(content: bytes) -> str:
    """Decode a whole text file.

    Raises:
        UnicodeDecodeError: some bytes are invalid.
    """
    return content.decode(encoding_of(content))


def caption(content: bytes) -> str:
    """Decode an image's caption file, without the end of its last line.

    Lines end in a line feed, whatever an editor wrote.

    Raises:
        UnicodeDecodeError: some bytes are invalid.
    """
    return decoded(content).replace("\r\n", "\n").removesuffix("\n")


def printable(path: str | Path) -> str:
    """Return a path as text, with invalid bytes escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def first_character(start: bytes) -> str:
    """Return the first character after white space of a text file that begins like this."""
    return start.decode(encoding_of(start), "ignore").lstrip()[:1]


def characters(file: io.BufferedReader, end: str | None = "\n") -> io.TextIOWrapper:
    """Open a file as text; lines keep their ends: `end`, or any if it is None.

    Invalid UTF-8 bytes are kept as lone surrogates, so that they only affect one cell, and are
    reported where it becomes text.
    """
    encoding = encoding_of(file.peek(_LONGEST_MARK))
    errors = "surrogateescape" if encoding.startswith("utf-8") else "strict"
    return io.TextIOWrapper(file, encoding=encoding, errors=errors, newline=end or "")
