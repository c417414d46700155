"""Progressive JPEG: whether the whole picture arrived.

A progressive JPEG consists of scans, each of which refines the whole picture. Cut off between two
scans, it is a well-formed file that decodes without complaint, but is blurred.
"""

from typing import Final

from image_toolkit.images.jpeg import START_OF_SCAN, segments

_PROGRESSIVE: Final = 0xC2
_COEFFICIENTS: Final = 64


def lacks_scans(jpeg: bytes) -> bool:
    """Return whether a progressive JPEG lacks bits of any coefficient of any colour component."""
    left: dict[int, list[int]] = {}  # bits still missing, by colour and coefficient
    for marker, _, segment, _ in segments(jpeg):
        if marker == _PROGRESSIVE and len(segment) > 6:  # noqa: PLR2004 - its fixed part
            colours = segment[6 : 6 + 3 * segment[5] : 3]
            left = {colour: [1] * _COEFFICIENTS for colour in colours}
        elif marker == START_OF_SCAN and segment:
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
