"""Small files that several processes agree by: made once, and replaced only as they were read.

The same on a local folder, on `s3://` and on `gs://`, among processes of any number of machines:

- `create` makes a file that is not there. Of any number that try, one is told that it made it.
- `replace` replaces the file that was read. Of any number that read the same version, one is told
  that it replaced it; a version is never seen again, also where an equal text is written.
- `read` gives the text of one write, whole, and the version to replace it by.

What is not kept: an order in which those who wait come to their turn, and earlier texts. Where the
answer of a store is lost and asked for again, and others have replaced the file meanwhile, a
`replace` that was done counts as not done: its text is gone by then.

Such a file is written and read by this module only (`storage.remove` removes it): on a store its
first line is not its text's, and on a disk it is a folder.
"""

import uuid
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, Protocol

from fondant_spec.dataset import storage
from fondant_spec.dataset.conditional_folder import FolderPlace
from fondant_spec.dataset.conditional_objects import GooglePlace, S3Place
from fondant_spec.errors import StorageError


class Written(NamedTuple):
    """What was read: the text, and the version that `replace` replaces."""

    text: str
    version: str


class Place(Protocol):
    """Where one such file lies; a token is a name that no other write has."""

    def read(self) -> tuple[str, str] | None:
        """Return the text that is there and its version; None if nothing is."""

    def create(self, text: str, token: str) -> str | None:
        """Make it and return its version; None if it is there."""

    def replace(self, text: str, token: str, version: str) -> str | None:
        """Replace that version and return the new one; None if it is not there any more."""


def read(url: str) -> Written | None:
    """Return the text and the version of the file; None if there is none.

    Raises:
        StorageError: it cannot be read.
    """
    found = _place(url).read()
    return found and Written(*found)


def create(url: str, text: str) -> str | None:
    """Make the file and return its version; None if it was there already.

    Raises:
        StorageError: it cannot be made, or this kind of storage cannot do it.
    """
    return _place(url).create(text, uuid.uuid4().hex)


def replace(url: str, text: str, version: str) -> str | None:
    """Replace what was read and return the new version; None if it was changed or removed since.

    Raises:
        StorageError: it cannot be written.
    """
    return _place(url).replace(text, uuid.uuid4().hex, version)


def are_possible(url: str) -> bool:
    """Return whether this kind of storage has conditional writes."""
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
