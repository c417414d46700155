from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from image_toolkit.retry_after import retry_after


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("9" * 5000, 999_999_999.0),
        (None, None),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("²", None),
        ("soon", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:00:00 -0000", 0.0),
        ("Thu, 99 Jan 1970 00:00:00 GMT", None),
    ],
)
def test_the_header(value, seconds):
    """Seconds and dates are read; a date that is over is no wait; anything else is none."""
    assert retry_after(value) == seconds


@pytest.mark.parametrize("zone", [UTC, None])
def test_a_date_to_come(zone):
    """A date counts from now on, in UTC where it has no zone."""
    moment = datetime.now(UTC) + timedelta(minutes=2)
    value = format_datetime(moment if zone else moment.replace(tzinfo=None))
    assert 118 <= retry_after(value) <= 120
