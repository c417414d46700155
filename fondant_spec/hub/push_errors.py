"""Errors of the hub's client as one-line messages: what happened, and what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
)

from fondant_spec.errors import HubError
from fondant_spec.temporary import is_temporary

_AGAIN: Final = "run the same again later; what has been sent is not sent twice."
SIGN_IN: Final = "set HF_TOKEN to one that may write (https://huggingface.co/settings/tokens)."
_WORDS: Final = {
    401: f"the hub does not know the token (401); {SIGN_IN}",
    403: "the token may not do this (403): it needs the right to write there.",
    404: "the hub has no such repository, or the token may not see it (404).",
    409: "somebody else changed it at the same time (409); run the same again.",
    413: "the hub takes no commit that large (413); export as webdataset or parquet.",
    429: f"the hub wants fewer requests (429); {_AGAIN}",
}
_SERVER_ERROR: Final = 500


@contextmanager
def told_of(repository: str) -> Iterator[None]:
    """Convert errors of the hub's client to a `HubError` with a one-line message.

    Raises:
        HubError: the hub refused a request or could not be reached.
    """
    try:
        yield
    except LocalTokenNotFoundError as error:
        msg = f"{repository}: there is no token for the hub; {SIGN_IN}"
        raise HubError(msg) from error
    except OfflineModeIsEnabled as error:
        msg = f"{repository}: HF_HUB_OFFLINE is set, so nothing is sent; unset it."
        raise HubError(msg) from error
    except HFValidationError as error:
        msg = f"{repository!r} is no name of a repository; it reads `owner/name`. ({error})"
        raise HubError(msg) from error
    except Exception as error:
        words = _words(error)
        if words is None:
            raise
        msg = f"{repository}: {words}"
        raise HubError(msg) from error


def _words(error: BaseException) -> str | None:
    """Return the message for an error or its cause; None if it does not come from the hub."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, HfHubHTTPError):
            return _answer(cause)
        cause = cause.__cause__ or cause.__context__
    if is_temporary(error):
        return f"the hub cannot be reached, or broke off ({_deepest(error)}); {_AGAIN}"
    refused = str(error).startswith(("Invalid metadata", "LFS batch API"))
    return f"the hub refuses it: {' '.join(str(error).split())}" if refused else None


def _answer(error: HfHubHTTPError) -> str:
    status = error.response.status_code
    if status >= _SERVER_ERROR:
        return f"the hub failed ({status}); {_AGAIN}"
    said = (error.server_message or "").split("\n")[0]
    told = _WORDS.get(status, f"the hub refuses it ({status}).")
    return f"{told} It says: {said}" if said else told


def _deepest(error: BaseException) -> str:
    while cause := error.__cause__ or error.__context__:
        error = cause
    return type(error).__name__
