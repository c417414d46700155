"""Tells failures that may pass by themselves from those that another try cannot mend.

A store, a hub, an index or a host that is away for a while is worth another try: no connection, no
answer in time, 429, 5xx. A wrong address, a missing model or a wrong key is not. All libraries that
steps reach out with are judged here, by the names of their exceptions: none of them is imported.
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
"""Ours that are so whatever led to them."""

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
"""Package and class, or that of a base class, to whether it may pass."""

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
"""Beside those that Python has classes for; the last one is of network file systems."""

_STATUSES: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 509, 529})
_ERROR_STATUSES: Final = range(400, 600)
_STORE_CODES: Final = frozenset({"RequestTimeout", "SlowDown", "ServiceUnavailable"})
"""What a store calls what may pass, whatever the status."""


def is_temporary(error: BaseException) -> bool:
    """Return whether another try may succeed.

    An error of ours that says so itself is believed; else the deepest cause decides of which
    anything is known, for those above it only wrap it.
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
    """Note on an error whether it is temporary, before its causes are lost between processes."""
    if isinstance(error, FondantError) or is_temporary(error):
        vars(error)["temporary"] = is_temporary(error)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _judged(error: BaseException) -> bool | None:
    """Return whether an error may pass by itself, or None if nothing is known of its kind."""
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
    """Return whether the answer that an error carries may be another one soon; None without one."""
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
