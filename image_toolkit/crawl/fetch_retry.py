"""Which replies are errors, and how long to wait before a retry."""

import random
from typing import Final

from image_toolkit.crawl.fetch_errors import FetchError
from image_toolkit.crawl.reply import Reply
from image_toolkit.retry_after import retry_after

_OK: Final = frozenset({200, 203})
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_FIRST_WAIT: Final = 0.5
_LONGEST_BACKOFF: Final = 30.0
_random = random.SystemRandom()


def backoff(attempts: int) -> float:
    """Return the seconds to wait after so many attempts: exponential, with jitter."""
    return _random.uniform(0.5, 1.0) * min(_FIRST_WAIT * 2.0**attempts, _LONGEST_BACKOFF)


def is_ok(reply: Reply) -> bool:
    """Return whether the status means that the body is what was asked for."""
    return reply.status in _OK


def check_status(reply: Reply) -> None:
    """Refuse a reply whose status means that its body is not the image.

    Raises:
        FetchError: `http_<status>`; `passing` for a timeout, an overload or an outage.
    """
    if is_ok(reply) or redirect_of(reply) is not None:
        return
    wait = retry_after(reply.header("retry-after"))
    raise FetchError(
        reason=f"http_{reply.status}",
        message=f"{reply.url.host}: status {reply.status}",
        passing=reply.status in _PASSING,
        retry_after=wait if reply.status in _PASSING else None,
        host_failed=reply.status in _PASSING,
    )


def redirect_of(reply: Reply) -> str | None:
    """Return where a reply redirects to, or None if it does not."""
    return reply.location or None if reply.status in _REDIRECTS else None
