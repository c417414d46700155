"""Bytes to characters: of text files, UTF-8 or what their first bytes say, and of names."""

import codecs
import io
import os
from pathlib import Path
from typing import Final

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as the next one does
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LONGEST_MARK: Final = 4


def encoding_of(start: bytes) -> str:
    """Return the encoding of a text file that starts so."""
    return next((name for mark, name in _MARKS if start.startswith(mark)), "utf-8")


def decoded(content: bytes) -> str:
    """Return the characters of a whole text file.

    Raises:
        UnicodeDecodeError: some bytes are none.
    """
    return content.decode(encoding_of(content))


def caption(content: bytes) -> str:
    """Return the characters of the text of an image, without the end of its last line.

    Lines end in a line feed, whatever an editor had them end in.

    Raises:
        UnicodeDecodeError: some bytes are no characters.
    """
    return decoded(content).replace("\r\n", "\n").removesuffix("\n")


def printable(path: str | Path) -> str:
    """Return a path as text; bytes in it that are no text are spelled out."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def first_character(start: bytes) -> str:
    """Return the first character of a text file that starts so, after white space."""
    return start.decode(encoding_of(start), "ignore").lstrip()[:1]


def characters(file: io.BufferedReader, end: str | None = "\n") -> io.TextIOWrapper:
    """Return the characters of a file; its lines keep their ends: `end`, or any where it is None.

    Bytes of UTF-8 that are no text are kept as half surrogates, so that they are the fault of one
    cell, and told where a text is made of it.
    """
    encoding = encoding_of(file.peek(_LONGEST_MARK))
    errors = "surrogateescape" if encoding.startswith("utf-8") else "strict"
    return io.TextIOWrapper(file, encoding=encoding, errors=errors, newline=end or "")
