"""JPEG files as a row of segments: what can go without touching the picture."""

from collections.abc import Iterator
from typing import Final

_START: Final = b"\xff\xd8"
JPEG_END: Final = b"\xff\xd9"
_START_OF_SCAN: Final = 0xDA
_COMMENT: Final = 0xFE
_APPLICATION: Final = range(0xE1, 0xF0)
_TAIL: Final = 64  # some writers leave a few bytes after the end
_ADOBE: Final = 0xEE  # says how the colours are coded, so it stays


def without_metadata(jpeg: bytes) -> bytes:
    """Return a JPEG without EXIF, XMP, profiles, comments, or bytes behind its end.

    Raises:
        ValueError: it is no row of segments that ends in a scan.
    """
    kept = [_START]
    for marker, segment in _segments(jpeg):
        if marker == _START_OF_SCAN:
            end = segment.find(JPEG_END)
            kept.append(segment[:end] + JPEG_END if end >= 0 else segment + JPEG_END)
        elif marker == _ADOBE or (marker != _COMMENT and marker not in _APPLICATION):
            kept.append(segment)
    return b"".join(kept)


def has_end(jpeg: bytes) -> bool:
    """Return whether a JPEG has its end marker, which one that was cut short lacks."""
    return JPEG_END in jpeg[-_TAIL:]


def _segments(jpeg: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield marker and bytes of each segment; the last is the first scan with all that follows."""
    if not jpeg.startswith(_START):
        msg = "no JPEG"
        raise ValueError(msg)
    position = 2
    while position + 4 <= len(jpeg):
        if jpeg[position] != _START[0]:
            break
        marker = jpeg[position + 1]
        if marker == _START[0]:  # any marker may be preceded by fill bytes
            position += 1
            continue
        if marker == _START_OF_SCAN:
            yield marker, jpeg[position:]
            return
        length = int.from_bytes(jpeg[position + 2 : position + 4])
        yield marker, jpeg[position : position + 2 + length]
        position += 2 + length
    msg = f"no scan, up to byte {position}"
    raise ValueError(msg)
