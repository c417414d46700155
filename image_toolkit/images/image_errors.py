"""Why bytes could not be decoded as an image: a closed list of reasons for the reject table."""

from typing import Literal

Reason = Literal[
    "empty",
    "not_an_image",
    "too_many_pixels",
    "truncated",
    "too_complex",
    "decoding_timeout",
    "decoder_killed",
]
"""`too_complex`: more parts, scans or metadata than an image has, or more memory than it may take.
`decoding_timeout`, `decoder_killed`: its decoder took too long, or crashed, and was ended."""


class NotAnImageError(Exception):
    """Bytes that are not a usable image; `reason` is a short code for the reject table."""

    def __init__(self, *, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.message = message


def failed(image_format: str, error: Exception) -> NotAnImageError:
    """Convert any error of a decoder: on hostile bytes it may raise nearly anything."""
    if isinstance(error, NotAnImageError):
        return error
    if isinstance(error, MemoryError):
        return NotAnImageError(reason="too_complex", message=f"{image_format}: out of memory")
    reason: Reason = "truncated" if "truncated" in str(error) else "not_an_image"
    return NotAnImageError(reason=reason, message=f"{image_format}: {error}")
