"""The Retry-After header of HTTP (RFC 9110, 10.2.3), for everything here that tries again."""

import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

_MOST_DIGITS: Final = 9  # some thirty years: longer numbers are longer than anybody waits


def retry_after(value: str | None) -> float | None:
    """Return how many seconds a Retry-After header asks to wait: a number, or a date from now on.

    None where there is no header, or none that can be read.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:_MOST_DIGITS])
    try:
        moment = parsedate_to_datetime(text)
        in_utc = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0.0, in_utc.timestamp() - time.time())
    except (ValueError, TypeError, OverflowError, OSError):
        return None
