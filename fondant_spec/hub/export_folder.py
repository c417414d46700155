"""An export as it may be published: the files as they were checked, without local paths."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

from fondant_spec.dataset import storage
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.dataset.written_files import (
    MARK,
    changed_files,
    files_below,
    in_words,
    is_mark,
    listed_files,
)
from fondant_spec.errors import InvalidArgumentError, InvalidDatasetError

ELSEWHERE: Final = "path/to/this/folder"
"""What stands in a published text where the folder's path on this machine stood."""

_CARD: Final = ".md"
_USE: Final = b"## Use\n\n"
_FETCH: Final = f"First `hf download %b --repo-type dataset --local-dir {ELSEWHERE}`.\n\n".encode()
_SETTINGS: Final = frozenset({_CARD, ".json", ".toml", ".yaml"})
_LARGEST_SETTINGS: Final = 2**20
_STAMPLESS: Final = {"stamp": ""}


@dataclass(frozen=True)
class ExportFolder:
    """A folder that an export wrote, or one of the layouts in it.

    Attributes:
        path: The folder to publish.
        root: The folder of the export, which has its mark.
        listed: What the mark says of each file: `bytes`, `sha256`, `stamp`, by paths below `root`.
        repository: Where it is published; its cards say how to fetch it from there.
    """

    path: Path
    root: Path
    listed: Mapping[str, Mapping[str, Any]]
    repository: str = ""

    @classmethod
    def at(cls, place: str) -> "ExportFolder":
        """Return the export at a folder, or around it.

        Raises:
            InvalidArgumentError: there is none, or it is not on this machine.
        """
        if storage.is_remote(place):
            msg = f"{place}: only a folder of this machine can be pushed; copy it here first."
            raise InvalidArgumentError(msg)
        path = Path(place).resolve()
        for root in (path, path.parent):
            listed = listed_files(str(root / MARK)) if (root / MARK).is_file() else None
            if listed and (root == path or any(_below(root, path, name) for name in listed)):
                return cls(path, root, listed)
        msg = f"{place}: is no export; name the step that exported, or the folder that it wrote."
        raise InvalidArgumentError(msg)

    @classmethod
    def of_step(cls, manifest: Manifest) -> "ExportFolder":
        """Return the export that a step wrote.

        Raises:
            InvalidArgumentError: it wrote none, or none on this machine.
        """
        mark = next(filter(is_mark, manifest.artifacts), None)
        if mark is None:
            msg = f"{manifest.step_id}: the step exported nothing; name one that did."
            raise InvalidArgumentError(msg)
        return cls.at(storage.parent(mark))

    def check(self) -> None:
        """Make sure that all files are as they were when they were read back.

        Raises:
            InvalidDatasetError: some were edited, removed or added.
        """
        mark = str(self.root / MARK)
        found = files_below(str(self.root))
        added = (f"{name} was added" for name in found if name not in {*self.listed, MARK})
        changes = in_words([*changed_files(mark), *added])
        if changes:
            msg = (
                f"{self.root}: is not as it was exported: {changes}. Export anew, so that it is "
                "checked, or take what was added away."
            )
            raise InvalidDatasetError(msg)

    @cached_property
    def files(self) -> dict[str, "OutgoingFile"]:
        """The files to publish, by their paths below the folder: data first, then what tells of it.

        The mark comes last. It lists the files as they are published.
        """
        outgoing = dict(sorted(self._files(), key=lambda one: _order(one[0])))
        content = {}
        if self.path == self.root:
            content = json.loads((self.root / MARK).read_text(encoding="utf-8"))
        content["files"] = {
            name: {"bytes": file.size, "sha256": file.sha256, **_STAMPLESS}
            for name, file in outgoing.items()
        }
        text = json.dumps(content, indent=2) + "\n"
        return {**outgoing, MARK: OutgoingFile.of_content(text.encode())}

    @property
    def rewritten(self) -> list[str]:
        """The files out of which this machine's paths are taken."""
        return [
            name
            for name, file in self.files.items()
            if isinstance(file.source, bytes) and name != MARK
        ]

    def _files(self) -> Iterator[tuple[str, "OutgoingFile"]]:
        for name, told in self.listed.items():
            inside = _below(self.root, self.path, name)
            if inside is None:
                continue
            path = self.root / name
            if path.suffix in _SETTINGS and told["bytes"] <= _LARGEST_SETTINGS:
                content = path.read_bytes()
                public = self._without_place(content)
                if path.suffix == _CARD:
                    public = public.replace(_USE, _USE + _FETCH % self.repository.encode())
                if public != content:
                    yield inside, OutgoingFile.of_content(public)
                    continue
            yield inside, OutgoingFile(told["bytes"], told["sha256"], path)

    def _without_place(self, content: bytes) -> bytes:
        """Return a text without the folder's path, which the commands of layouts contain."""
        for place in (self.path, self.root):
            content = content.replace(str(place).encode(), ELSEWHERE.encode())
        return content


class OutgoingFile(NamedTuple):
    """A file to publish: one of this machine's as it is, or another content."""

    size: int
    sha256: str
    source: Path | bytes

    @classmethod
    def of_content(cls, content: bytes) -> "OutgoingFile":
        """Return a file of this content."""
        return cls(len(content), hashlib.sha256(content).hexdigest(), content)

    def read(self) -> bytes:
        """Return what is in it."""
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()


def _below(root: Path, folder: Path, name: str) -> str | None:
    """Return the path of a file below a folder, given that below its root; None outside of it."""
    path = root / name
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else None


def _order(name: str) -> tuple[bool, bool, str]:
    """Return what puts data first, then what lies beside it, and the card after that."""
    return "/" not in name, name.endswith(".md"), name
