"""Progressive JPEG: whether all of the picture was sent.

It comes in scans, each of which adds to all of the picture. Cut between two of them it is a
well-formed file that decodes without complaint, and is blurred.
"""

import re
from collections.abc import Iterator
from typing import Final

_MARKER: Final = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)
_PROGRESSIVE: Final = 0xC2
_START_OF_SCAN: Final = 0xDA
_END: Final = 0xD9
_COEFFICIENTS: Final = 64


def lacks_scans(jpeg: bytes) -> bool:
    """Return whether a progressive JPEG lacks bits of any coefficient of any colour."""
    left: dict[int, list[int]] = {}  # bits still to come, by colour and coefficient
    for marker, segment in _segments(jpeg):
        if marker == _PROGRESSIVE and len(segment) > 6:  # noqa: PLR2004 - its fixed part
            colours = segment[6 : 6 + 3 * segment[5] : 3]
            left = {colour: [1] * _COEFFICIENTS for colour in colours}
        elif marker == _START_OF_SCAN and segment:
            count = segment[0]
            parameters = segment[1 + 2 * count : 4 + 2 * count]
            if len(parameters) < 3:  # noqa: PLR2004 - first, last, bits
                return False
            first, last, low = parameters[0], parameters[1], parameters[2] & 15
            for colour in segment[1 : 1 + 2 * count : 2]:
                for coefficient in range(first, min(last, _COEFFICIENTS - 1) + 1):
                    if colour in left:
                        left[colour][coefficient] = low
    return any(any(bits) for bits in left.values())


def _segments(jpeg: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield marker and content of each segment; coded pixels are skipped."""
    position = 2
    while found := _MARKER.search(jpeg, position):
        marker = found[1][0]
        if marker == _END:
            return
        length = int.from_bytes(jpeg[found.end() : found.end() + 2])
        yield marker, jpeg[found.end() + 2 : found.end() + length]
        position = found.end() + max(length, 2)
