"""References to an index on the hub: `hf://datasets/OWNER/NAME[@REVISION][/FOLDER]`."""

import re
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import quote, unquote

from fondant_spec.errors import InvalidArgumentError

_SCHEME: Final = "hf://"
_REFERENCE: Final = re.compile(
    r"hf://datasets/(?P<repository>[\w.-]+/[\w.-]+?)(@(?P<revision>[^/@]+))?(/(?P<folder>[^@]*))?"
)


def on_hub(location: str) -> bool:
    """Return whether the location of an index is on the hub."""
    return location.startswith(_SCHEME)


@dataclass(frozen=True)
class IndexReference:
    """A folder of a dataset repository. `revision` is a branch, tag or commit; None is `main`."""

    repository: str
    revision: str | None = None
    folder: str = ""

    @classmethod
    def parse(cls, location: str) -> Self:
        """Parse a location on the hub. A slash in a revision is written `%2F`.

        Raises:
            InvalidArgumentError: it does not have that form.
        """
        found = _REFERENCE.fullmatch(location)
        folder = (found["folder"] or "").strip("/") if found else ".."
        if found is None or ".." in folder.split("/"):
            msg = (
                f"index: {location!r} is no index on the hub; write "
                "hf://datasets/OWNER/NAME, hf://datasets/OWNER/NAME@REVISION or "
                "hf://datasets/OWNER/NAME@REVISION/FOLDER."
            )
            raise InvalidArgumentError(msg)
        return cls(found["repository"], unquote(found["revision"] or "") or None, folder)

    def __str__(self) -> str:
        """Return the location."""
        revision = f"@{quote(self.revision, safe='')}" if self.revision else ""
        folder = f"/{self.folder}" if self.folder else ""
        return f"hf://datasets/{self.repository}{revision}{folder}"
