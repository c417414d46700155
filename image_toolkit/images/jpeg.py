"""JPEG files as sequences of segments: reading them, and dropping what is not the picture."""

import re
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

START_OF_SCAN: Final = 0xDA
END: Final = 0xD9
JPEG_END: Final = b"\xff\xd9"

_MARKER: Final = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]", re.DOTALL)
_END_MARKER: Final = re.compile(JPEG_END)  # finds two bytes faster than `bytes.find` does
_START: Final = b"\xff\xd8"
_COMMENT: Final = 0xFE
_APPLICATION: Final = range(0xE1, 0xF0)
_TAIL: Final = 64  # some writers leave a few bytes after the end
_ADOBE: Final = 0xEE  # says how colours are coded, so it is kept
_MARKS: Final = 0xFF  # the byte that begins a marker
_IS_MARKER: Final = np.ones(256, np.int64)  # by the byte after it
_IS_MARKER[[0x00, *range(0xD0, 0xD8)]] = 0
_COUNTED_AT_ONCE: Final = 1 << 20
_MODES: Final = {1: "L", 3: "RGB"}
_BASELINE: Final = (0xC0, 0xC1)  # frames of JPEGs whose scans do not refine each other
_TABLES: Final = (0xC4, 0xDB, 0xDD, 0xE0, 0xFE)  # including JFIF headers and comments
_FRAME: Final = struct.Struct(">BHHB")  # bits, height, width, colours; then 3 bytes for each colour


class Segment(NamedTuple):
    """A segment: marker, offset, content, and the number of stray bytes before it."""

    marker: int
    start: int
    content: bytes
    skipped: int


class Frame(NamedTuple):
    """What a frame header declares: the mode, in Pillow's terms, and the size in pixels."""

    mode: str
    width: int
    height: int


class MarkerCounts(NamedTuple):
    """Upper bounds on the numbers of markers: bytes inside other segments may look like some."""

    scans: int
    all: int


def segments(jpeg: bytes) -> Iterator[Segment]:
    """Yield the segments up to the end marker; entropy-coded data is skipped."""
    position = 2
    while found := _MARKER.search(jpeg, position):
        after = found.end()
        marker = jpeg[after - 1]
        if marker == END:
            return
        length = max(int.from_bytes(jpeg[after : after + 2]), 2)
        yield Segment(marker, after - 2, jpeg[after + 2 : after + length], after - 2 - position)
        position = after + length


def bare_frame(jpeg: bytes) -> Frame | None:
    """Return the frame of a non-progressive JPEG that contains only its picture.

    None for any other: one with a second frame, metadata, a colour profile, bytes between segments,
    or an unusual bit depth or number of colours.
    """
    found, position = None, 2
    try:
        while jpeg[position] == _MARKS:
            marker = jpeg[position + 1]
            length = jpeg[position + 2] << 8 | jpeg[position + 3]
            if marker == START_OF_SCAN:
                return found
            if marker in _BASELINE and found is None:
                found = _frame(jpeg[position + 4 : position + 2 + length])
                if found is None:
                    return None
            elif marker not in _TABLES:
                return None
            position += max(length, 2) + 2
    except IndexError:
        pass  # ends before its first scan
    return None


def _frame(content: bytes) -> Frame | None:
    if len(content) < _FRAME.size:
        return None
    bits, height, width, colours = _FRAME.unpack_from(content)
    usual = bits == 8 and colours in _MODES and len(content) == _FRAME.size + 3 * colours  # noqa: PLR2004
    return Frame(_MODES[colours], width, height) if usual else None


def count_markers(jpeg: bytes) -> MarkerCounts:
    """Return upper bounds on the number of markers, and on those that begin a scan."""
    values = np.frombuffer(jpeg, np.uint8)
    kinds = np.zeros(256, np.int64)
    for start in range(0, len(jpeg) - 1, _COUNTED_AT_ONCE):
        part = values[start : start + _COUNTED_AT_ONCE + 1]
        kinds += np.bincount(part[1:][(part[:-1] == _MARKS).nonzero()], minlength=256)
    return MarkerCounts(int(kinds[START_OF_SCAN]), int(kinds @ _IS_MARKER))


def without_metadata(jpeg: bytes) -> bytes:
    """Return a JPEG without EXIF, XMP, profiles, comments, or bytes after its end.

    Raises:
        ValueError: it is not a sequence of segments that ends in a scan.
    """
    kept = [_START]
    for marker, start, content, skipped in segments(jpeg if jpeg.startswith(_START) else b""):
        if jpeg[start - skipped : start].strip(b"\xff"):  # any marker may follow fill bytes
            break
        if marker == START_OF_SCAN:
            ended = _END_MARKER.search(jpeg, start)
            kept += (jpeg[start : ended.start() if ended else len(jpeg)], JPEG_END)
            return b"".join(kept)
        if marker == _ADOBE or (marker != _COMMENT and marker not in _APPLICATION):
            kept.append(jpeg[start : start + 4 + len(content)])
    msg = "no scan at the end of a row of segments"
    raise ValueError(msg)


def has_end(jpeg: bytes) -> bool:
    """Return whether a JPEG has its end marker; a truncated one lacks it."""
    return JPEG_END in jpeg[-_TAIL:]
