"""Small files for coordination between processes: created once, replaced by compare-and-swap.

They work alike on a local folder, on `s3://` and on `gs://`, among processes on any number of
machines:

- `create` creates a file. Of any number of callers, exactly one succeeds.
- `replace` replaces the version that was read. Of any number of callers that read the same version,
  at most one succeeds; a version never recurs, even if an equal text is written.
- `read` returns the complete text of one write, and the version to pass to `replace`.

Not guaranteed: fairness among those who wait, and access to earlier texts. If the answer of a store
is lost, and others have replaced the file before the request is repeated, a `replace` that was done
counts as refused: its text is gone by then.

Only this module may write and read such a file (`storage.remove` removes it): on a store it has an
additional first line, and on a disk it is a folder.
"""

import uuid
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, Protocol

from fondant_spec.dataset import storage
from fondant_spec.dataset.conditional_folder import FolderPlace
from fondant_spec.dataset.conditional_objects import GooglePlace, S3Place
from fondant_spec.errors import StorageError


class Written(NamedTuple):
    """The text that was read, and the version to pass to `replace`."""

    text: str
    version: str


class Place(Protocol):
    """The location of one such file; a token is a name unique to a write."""

    def read(self) -> tuple[str, str] | None:
        """Return the text and version; None if the file does not exist."""

    def create(self, text: str, token: str) -> str | None:
        """Create the file and return its version; None if it exists."""

    def replace(self, text: str, token: str, version: str) -> str | None:
        """Replace `version` and return the new one; None if it is no longer current."""


def read(url: str) -> Written | None:
    """Return the text and version of the file; None if it does not exist.

    Raises:
        StorageError: it cannot be read.
    """
    found = _place(url).read()
    return found and Written(*found)


def create(url: str, text: str) -> str | None:
    """Create the file and return its version; None if it exists.

    Raises:
        StorageError: it cannot be created, or this kind of storage has no conditional writes.
    """
    return _place(url).create(text, uuid.uuid4().hex)


def replace(url: str, text: str, version: str) -> str | None:
    """Replace `version` and return the new one; None if it was changed or removed meanwhile.

    Raises:
        StorageError: it cannot be written.
    """
    return _place(url).replace(text, uuid.uuid4().hex, version)


def are_possible(url: str) -> bool:
    """Return whether this kind of storage supports conditional writes."""
    return _scheme(url) in _PLACES


def _place(url: str) -> Place:
    if not are_possible(url):
        msg = (
            f"{url}: this kind of storage has no conditional writes; use a folder, s3:// or gs://."
        )
        raise StorageError(msg)
    return _PLACES[_scheme(url)](url)


def _scheme(url: str) -> str:
    return url.partition("://")[0] if storage.is_remote(url) else ""


_PLACES: Final[Mapping[str, Callable[[str], Place]]] = {
    "": FolderPlace,
    "s3": S3Place,
    "gs": GooglePlace,
}
