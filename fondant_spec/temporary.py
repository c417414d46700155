"""Classification of failures into temporary ones and those that a retry cannot fix.

A store, hub, index or host that is briefly unavailable is worth a retry: no connection, a timeout,
429, 5xx. A wrong address, a missing model or a wrong key is not. Exceptions of all libraries that
steps use for I/O are classified here by name, so that none of them has to be imported.
"""

import errno
import socket
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fondant_spec.errors import (
    CardinalityError,
    FondantError,
    InvalidArgumentError,
    InvalidComponentError,
    InvalidComponentSpecError,
    InvalidPipelineError,
    MissingDependencyError,
    RejectThresholdError,
)

_LASTING: Final = (
    CardinalityError,
    InvalidArgumentError,
    InvalidComponentError,
    InvalidComponentSpecError,
    InvalidPipelineError,
    MissingDependencyError,
    RejectThresholdError,
)
"""Errors of this package that are permanent, whatever caused them."""

_BY_NAME: Final[Mapping[str, bool]] = {
    "builtins.ConnectionError": True,
    "builtins.TimeoutError": True,
    "ssl.SSLCertVerificationError": False,
    "aiohttp.ClientConnectionError": True,
    "aiohttp.ClientPayloadError": True,
    "botocore.ConnectionError": True,
    "botocore.HTTPClientError": True,
    "botocore.IncompleteReadError": True,
    "botocore.ResponseStreamingError": True,
    "botocore.SSLError": False,
    "datasets.OfflineModeIsEnabled": False,
    "google.TransportError": True,
    "httpx.TransportError": True,
    "httpx.UnsupportedProtocol": False,
    "huggingface_hub.OfflineModeIsEnabled": False,
    "requests.ChunkedEncodingError": True,
    "requests.ConnectionError": True,
    "requests.SSLError": False,
    "requests.Timeout": True,
    "urllib3.HTTPError": True,
    "urllib3.LocationValueError": False,
    "urllib3.SSLError": False,
}
"""Maps an exception or base class, as module and name, to whether it is temporary."""

_ERRNOS: Final = frozenset(
    {
        errno.EAGAIN,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ESTALE,
    }
)
"""Those that Python has no class for; the last one is of network file systems."""

_STATUSES: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 509, 529})
_ERROR_STATUSES: Final = range(400, 600)
_STORE_CODES: Final = frozenset({"RequestTimeout", "SlowDown", "ServiceUnavailable"})
"""Temporary error codes of object stores, whatever the HTTP status."""


def is_temporary(error: BaseException) -> bool:
    """Return whether a retry may succeed.

    An error of this package that sets `temporary` decides; otherwise the deepest cause of a known
    kind does, since those above only wrap it.
    """
    found = False
    for cause in _causes(error):
        if isinstance(said := getattr(cause, "temporary", None), bool):
            return said
        if isinstance(cause, _LASTING):
            return False
        judged = _judged(cause)
        found = found if judged is None else judged
    return found


def mark(error: Exception) -> None:
    """Record on an error whether it is temporary, before its causes are lost between processes."""
    if isinstance(error, FondantError) or is_temporary(error):
        vars(error)["temporary"] = is_temporary(error)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _judged(error: BaseException) -> bool | None:
    """Return whether an error is temporary, or None if its kind is unknown."""
    if (by_answer := _judged_by_answer(error)) is not None:
        return by_answer
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN
    for kind in type(error).__mro__:
        name = f"{kind.__module__.partition('.')[0]}.{kind.__name__}".replace("httpx2", "httpx")
        if name in _BY_NAME:
            return _BY_NAME[name]
    return True if isinstance(error, OSError) and error.errno in _ERRNOS else None


def _judged_by_answer(error: BaseException) -> bool | None:
    """Classify an error by the HTTP response it carries; None if it carries none."""
    answer: Any = getattr(error, "response", None)
    if isinstance(answer, dict):  # of botocore
        if answer.get("Error", {}).get("Code") in _STORE_CODES:
            return True
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        holders = ((answer, "status_code"), (error, "status"), (error, "code"))
        found = (getattr(holder, name, None) for holder, name in holders)
        status = next((one for one in found if isinstance(one, int)), None)
    return status in _STATUSES if status in _ERROR_STATUSES else None
