"""Bounds on the cost of a file's parts, from its bytes, before a decoder sees them.

A decoder takes time for each part of a file (segments, chunks, boxes, blocks), for each scan of a
progressive JPEG, and for metadata that it parses. A file with many times more parts than an image
needs is refused; one that is not known to be cheap is left to a process that can be killed.
"""

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

from image_toolkit.images import jpeg
from image_toolkit.images.image_errors import NotAnImageError

MOST_PARTS: Final = 50_000
"""A PNG of 64 megapixels has some 25,000 chunks; decoders take up to 5 microseconds for each."""

MOST_SCANNED: Final = 1_000_000_000
"""Scans times pixels, at a nanosecond each in a decoder: 64 megapixels in 14 scans stay below."""

_MOST_PARSED: Final = 64 << 10
"""Bytes of metadata parsed in this process: entries may overlap, so the cost can be quadratic."""

_FEW_SCANS: Final = 24
_FEW_MARKERS: Final = 2000

_JPEG_KNOWN: Final = frozenset({0xC0, 0xC1, 0xC2, 0xC4, 0xDA, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)})
"""Markers that, as all readers know, are followed by a length."""

_EXIF: Final = 0xE1
_PHOTOSHOP: Final = 0xED
_GIF_HEADER: Final = 13
_PNG_PARSED: Final = frozenset({b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"iCCP"})


@dataclass(frozen=True)
class Structure:
    """What is known of a file's parts.

    `simple`: they are few, in a format with a bounded cost per pixel. `scans`: passes over its
    pixels. `size`: width and height, if a decoder would allocate memory for them before reporting
    them. `frame`: the frame of a JPEG about which there is nothing else to know: no metadata, no
    profile, not progressive.
    """

    simple: bool = False
    scans: int = 1
    size: tuple[int, int] | None = None
    frame: jpeg.Frame | None = None


def structure_of(data: bytes) -> Structure:
    """Return what is known of a file's parts.

    Raises:
        NotAnImageError: it has more parts than an image needs.
    """
    if data.startswith(b"\xff\xd8"):
        return _jpeg(data)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        chunks = _counted(png_chunks(data), "PNG")
        return Structure(sum(chunk.size for chunk in chunks if chunk.parsed) <= _MOST_PARSED)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        chunks = _counted(_riff_chunks(data), "WEBP")
        parsed = sum(chunk.size for chunk in chunks if chunk.parsed)
        return Structure(parsed <= _MOST_PARSED, size=_webp_size(data))
    if data.startswith((b"GIF87a", b"GIF89a")):
        _counted(_gif_blocks(data), "GIF")
    elif data[4:8] == b"ftyp":
        _counted(_boxes(data), "HEIF")
    return Structure()


def _jpeg(data: bytes) -> Structure:
    """Return what is known of a JPEG; before its first scan, each stray byte counts as a part."""
    counted = jpeg.count_markers(data)
    few = counted.all <= _FEW_MARKERS and counted.scans <= _FEW_SCANS
    frame = jpeg.bare_frame(data) if few else None
    if frame is not None:
        return Structure(simple=True, scans=max(counted.scans, 1), frame=frame)
    most = counted if few else _marked(data)
    parts, parsed, known, end = 0, 0, True, 2
    for marker, start, content, skipped in jpeg.segments(data):
        parts += 1 + skipped
        if marker == jpeg.START_OF_SCAN or parts > MOST_PARTS:
            break
        end = start + 4 + len(content)
        known = known and marker in _JPEG_KNOWN
        if marker == _PHOTOSHOP or (marker == _EXIF and content.startswith(b"Exif")):
            parsed += len(content)
    else:
        parts += max(len(data) - end, 0)  # a reader searches up to there for the first scan
    _refuse(max(parts, most.all if known else counted.all), "JPEG")
    return Structure(known and parsed <= _MOST_PARSED, max(most.scans, 1))


def _marked(data: bytes) -> jpeg.MarkerCounts:
    """Return the number of markers, without those inside other segments."""
    counts = Counter(segment.marker for segment in islice(jpeg.segments(data), MOST_PARTS + 1))
    return jpeg.MarkerCounts(counts[jpeg.START_OF_SCAN], counts.total())


class Chunk(NamedTuple):
    """A part that states its length; `parsed` if its content is metadata that decoders parse."""

    kind: bytes
    start: int
    size: int
    parsed: bool = False


def png_chunks(data: bytes) -> Iterator[Chunk]:
    """Yield the chunks of a PNG: `start` is the offset of the length, `size` is of the content."""
    position = 8
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        yield Chunk(kind, position, length, kind in _PNG_PARSED)
        position += length + 12


def _riff_chunks(data: bytes) -> Iterator[Chunk]:
    position = 12
    while position + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        yield Chunk(kind, position, length, kind == b"EXIF")
        position += 8 + length + length % 2


def _gif_blocks(data: bytes) -> Iterator[Chunk]:
    """Yield the blocks of a GIF before its first picture."""
    flags = data[10] if len(data) >= _GIF_HEADER else 0
    position = _GIF_HEADER + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    while position + 1 < len(data) and data[position] == 0x21:  # noqa: PLR2004 - an extension
        position += 2
        while position < len(data) and data[position]:
            yield Chunk(b"", position, data[position])
            position += data[position] + 1
        yield Chunk(b"", position, 0)
        position += 1


def _boxes(data: bytes) -> Iterator[Chunk]:
    position = 0
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        yield Chunk(kind, position, length)
        position += max(length, 8)


def _webp_size(data: bytes) -> tuple[int, int] | None:
    if len(data) < 30:  # noqa: PLR2004 - enough for the headers of all three kinds
        return None
    if data[12:16] == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<2H", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def _counted(chunks: Iterator[Chunk], name: str) -> list[Chunk]:
    found = list(islice(chunks, MOST_PARTS + 1))
    _refuse(len(found), name)
    return found


def _refuse(parts: int, name: str) -> None:
    if parts > MOST_PARTS:
        message = f"{name} of over {MOST_PARTS} segments, or bytes between them"
        raise NotAnImageError(reason="too_complex", message=message)
