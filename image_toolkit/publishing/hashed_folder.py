"""A folder being written, with the size and hash of each file."""

import hashlib
import json
import os
import shutil
from collections import deque
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, NamedTuple

from fondant_spec.dataset.hashing_file import HashingFile

_DIGEST_LENGTH: Final = 12
_SHARED: Final = 2
"""The files kept for sharing: of a pair, image and mask are written to several layouts."""


class WrittenFile(NamedTuple):
    """A file's size, and the hash of its content in hexadecimal."""

    bytes: int
    sha256: str


@dataclass
class _Written:
    """What was written below a root, and the last files that may get further names."""

    root: Path
    files: dict[str, WrittenFile] = field(default_factory=dict)
    shared: deque[tuple[bytes, Path]] = field(default_factory=lambda: deque(maxlen=_SHARED))

    def name(self, file: Path) -> str:
        return file.relative_to(self.root).as_posix()


class HashedFolder:
    """A local folder being written, or a folder inside one."""

    def __init__(self, path: Path, written: _Written | None = None) -> None:
        self.path = path
        self._written = written or _Written(path)

    @property
    def files(self) -> Mapping[str, WrittenFile]:
        """All files written, by path relative to the outermost folder."""
        return self._written.files

    def below_here(self) -> dict[str, WrittenFile]:
        """Return the files written below this folder at any depth, by relative path."""
        inside = "" if self.path == self._written.root else f"{self._written.name(self.path)}/"
        return {
            name.removeprefix(inside): file
            for name, file in self.files.items()
            if name.startswith(inside)
        }

    def below(self, name: str) -> "HashedFolder":
        """Return a folder inside this one, whose files are recorded here."""
        return HashedFolder(self.path / name, self._written)

    def create(self, name: str) -> "HashedFile":
        """Open a new file, creating its folder if needed; the caller closes it."""
        target = self._target(name)
        return HashedFile(target.open("xb"), self._written.files, self._written.name(target))

    def write(self, name: str, content: bytes) -> None:
        """Write a whole new file."""
        with closing(self.create(name)) as file:
            file.write(content)

    def write_json(self, name: str, content: object) -> None:
        """Write a new JSON file, indented for people."""
        self.write(name, (json.dumps(content, indent=2) + "\n").encode())

    def enter(self, name: str) -> None:
        """Record a file that something else wrote here; it is read once, for its hash."""
        path = self.path / name
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        self._written.files[self._written.name(path)] = WrittenFile(path.stat().st_size, sha256)

    def write_shared(self, name: str, content: bytes) -> None:
        """Write a new file; if its content is one of the last written this way, as a hard link.

        If the file system has no hard links, it is copied.

        Raises:
            FileExistsError: there is already a file with this name.
        """
        written, target = self._written, self._target(name)
        source = next((file for known, file in written.shared if known is content), None)
        if source is None:
            self.write(name, content)
            written.shared.append((content, target))
            return
        try:
            os.link(source, target)
        except FileExistsError:
            raise
        except OSError:  # another file system, or one without hard links
            shutil.copyfile(source, target)
        written.files[written.name(target)] = written.files[written.name(source)]

    def take(self, name: str) -> bytes:
        """Remove a file that was written, and return its content."""
        target = self._target(name)
        content = target.read_bytes()
        target.unlink()
        del self._written.files[self._written.name(target)]
        return content

    def digest(self) -> str:
        """Return a short hash of the names and contents of all files so far."""
        listed = json.dumps(sorted((name, file.sha256) for name, file in self.files.items()))
        return hashlib.sha256(listed.encode()).hexdigest()[:_DIGEST_LENGTH]

    def _target(self, name: str) -> Path:
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


class HashedFile(HashingFile):
    """A file in such a folder, which is recorded when it is closed."""

    def __init__(self, file: IO[bytes], files: dict[str, WrittenFile], name: str) -> None:
        super().__init__(file)
        self._files = files
        self._name = name

    def close(self) -> None:
        """Close the underlying file, too."""
        super().close()
        self._file.close()
        self._files[self._name] = WrittenFile(self.bytes_written, self.sha256)
