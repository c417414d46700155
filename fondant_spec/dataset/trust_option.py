"""What the option `--trust` does: datasets may reach the places that it names, too."""

import os
from collections.abc import Iterable

from fondant_spec.dataset import storage
from fondant_spec.dataset.trusted_places import TRUSTED, trusted_places
from fondant_spec.errors import InvalidArgumentError


def trust(places: Iterable[str]) -> None:
    """Let datasets reach folders and URLs, in this process and those that it starts.

    Raises:
        InvalidArgumentError: there is a comma in one, which would make two of it.
        StorageError: one is a URL with a password in it.
    """
    places = list(map(storage.normalize, places))
    for place in places:
        if "," in place:
            msg = f"--trust {place}: a path with a comma cannot be named there; rename the folder."
            raise InvalidArgumentError(msg)
    os.environ[TRUSTED] = ",".join([*trusted_places(), *places])
