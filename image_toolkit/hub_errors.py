"""Errors of the Hugging Face hub as a single line that says what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, cast

from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from fondant_spec.errors import InputDataError

HTTP_ERROR: Final = cast("type[Exception]", HfHubHTTPError.__bases__[0])
"""The base class of all errors of the hub's HTTP package, including lost connections; which package
it is depends on the version of the hub's client."""

_LONGEST_REASON: Final = 300
_REASONS: Final[dict[type[Exception], str]] = {  # narrower classes first
    HFValidationError: "neither a folder nor the id of a {kind} such as `owner/name`.",
    GatedRepoError: "it is gated: accept its terms on the hub, then set HF_TOKEN to your token.",
    RevisionNotFoundError: "the hub has no revision {revision!r} of it.",
    RepositoryNotFoundError: "the hub has no such {kind}, or it is private: check the id, or set "
    "HF_TOKEN.",
    LocalEntryNotFoundError: "it is not on this machine and the hub cannot be reached. Name a "
    "local folder, or run once with a connection (HF_HUB_OFFLINE unset).",
    HfHubHTTPError: "the hub failed: {error}",
    HTTP_ERROR: "the hub cannot be reached: {error}",
    OSError: "the hub failed: {error}",
}


@contextmanager
def hub_failures_told(kind: str, name: str, revision: str | None = None) -> Iterator[None]:
    """Turn an error about a hub repository into a single line for the user.

    Args:
        kind: What it is to the user, such as `model`.
        name: Its id.
        revision: The branch, tag or commit that was requested.

    Raises:
        InputDataError: in place of the client's errors, except for a file that is not in the
            repository: the caller knows what that means.
    """
    try:
        yield
    except EntryNotFoundError as error:
        if not isinstance(error, LocalEntryNotFoundError):
            raise
        raise _told(error, kind, name, revision) from error
    except (OSError, HTTP_ERROR, HFValidationError) as error:
        raise _told(error, kind, name, revision) from error


def _told(error: Exception, kind: str, name: str, revision: str | None) -> InputDataError:
    if isinstance(error.__cause__, HfHubHTTPError):
        error = error.__cause__  # the hub was reached; the local lookup came afterwards
    reason = next(reason for known, reason in _REASONS.items() if isinstance(error, known))
    words = " ".join(str(error).split())[:_LONGEST_REASON]
    why = reason.format(kind=kind, revision=revision, error=words)
    return InputDataError(f"{kind.capitalize()} {name!r}: {why}")
