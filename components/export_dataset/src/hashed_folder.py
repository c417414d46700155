"""A folder that is being filled, with the size and hash of each file as it was written."""

import hashlib
import json
from contextlib import closing
from pathlib import Path
from typing import IO, Final, NamedTuple

from fondant_spec.dataset import storage

_DIGEST_LENGTH: Final = 12


class WrittenFile(NamedTuple):
    """A file's size, and the hash of its content in hexadecimal."""

    bytes: int
    sha256: str


class HashedFolder:
    """A local folder. `files` are those written to it, by their paths relative to `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files: dict[str, WrittenFile] = {}

    def create(self, name: str) -> "HashedFile":
        """Open a new file, in a folder that is made where there is none; the caller closes it."""
        target = self.path / name
        target.parent.mkdir(exist_ok=True)
        return HashedFile(target.open("xb"), self.files, name)

    def write(self, name: str, content: bytes) -> None:
        """Write a whole new file."""
        with closing(self.create(name)) as file:
            file.write(content)

    def digest(self) -> str:
        """Return a short hash of the names and contents of all files so far."""
        listed = json.dumps(sorted((name, file.sha256) for name, file in self.files.items()))
        return hashlib.sha256(listed.encode()).hexdigest()[:_DIGEST_LENGTH]


class HashedFile(storage.HashingFile):
    """A file of such a folder, which is entered there when it is closed."""

    def __init__(self, file: IO[bytes], files: dict[str, WrittenFile], name: str) -> None:
        super().__init__(file)
        self._files = files
        self._name = name

    def close(self) -> None:
        """Close the file itself, too."""
        super().close()
        self._file.close()
        self._files[self._name] = WrittenFile(self.bytes_written, self.sha256)
