"""The Retry-After header of HTTP (RFC 9110, 10.2.3), for all retries."""

import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

_MOST_DIGITS: Final = 9  # some thirty years: nobody waits longer


def retry_after(value: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks to wait: a number, or until a date.

    None if there is no header, or it cannot be parsed.
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
