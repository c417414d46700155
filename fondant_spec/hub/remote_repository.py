"""The current state of a dataset repository on the hub."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from huggingface_hub import HfApi
from huggingface_hub.errors import (
    EntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import sha

from fondant_spec.dataset.written_files import MARK
from fondant_spec.hub.export_folder import OutgoingFile

KIND: Final = "dataset"
_OWN: Final = frozenset({".gitattributes"})
"""Files that the hub itself adds to each repository."""


class RemoteFile(NamedTuple):
    """A file in a repository: the hash of its content, or its git blob hash, and its size."""

    size: int
    sha256: str | None
    blob: str

    def holds(self, file: OutgoingFile) -> bool:
        """Return whether its content equals that of a local file."""
        if self.size != file.size:
            return False
        if self.sha256 is not None:
            return self.sha256 == file.sha256
        return bool(self.blob == sha.git_hash(file.read()))


@dataclass(frozen=True)
class RemoteRepository:
    """The content of a repository at a branch.

    Attributes:
        name: Owner and name.
        revision: The branch.
        exists: Whether the repository exists.
        has_branch: Whether it has the branch.
        is_public: Whether it is public.
        files: The files in the branch, by path.
        pushed: The files in it that an earlier push added, as listed in its mark.
        tags: The existing tags.
        unasked: Why the hub was not queried; empty if it was.
    """

    name: str
    revision: str
    exists: bool = False
    has_branch: bool = False
    is_public: bool = False
    files: Mapping[str, RemoteFile] = field(default_factory=dict)
    pushed: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    unasked: str = ""

    @classmethod
    def read(cls, api: HfApi, name: str, revision: str) -> "RemoteRepository":
        """Read the state of a repository; a missing one is not an error."""
        try:
            info = api.dataset_info(name)
        except RepositoryNotFoundError:
            return cls(name, revision)
        refs = api.list_repo_refs(name, repo_type=KIND)
        tags = frozenset(tag.name for tag in refs.tags)
        public = not info.private
        try:
            tree = list(api.list_repo_tree(name, recursive=True, revision=revision, repo_type=KIND))
        except (RevisionNotFoundError, EntryNotFoundError):
            return cls(name, revision, exists=True, is_public=public, tags=tags)
        files = {
            entry.path: RemoteFile(
                entry.size, entry.lfs.sha256 if entry.lfs else None, entry.blob_id
            )
            for entry in tree
            if isinstance(entry, RepoFile) and entry.path not in _OWN
        }
        pushed = _pushed(api, name, revision) if MARK in files else frozenset()
        return cls(
            name,
            revision,
            exists=True,
            has_branch=True,
            is_public=public,
            files=files,
            pushed=pushed,
            tags=tags,
        )


def _pushed(api: HfApi, name: str, revision: str) -> frozenset[str]:
    """Return the files that the mark in a repository lists, and the mark itself."""
    place = api.hf_hub_download(name, MARK, repo_type=KIND, revision=revision)
    try:
        with open(place, encoding="utf-8") as file:  # noqa: PTH123 - a path of the hub's cache
            return frozenset(json.load(file)["files"]) | {MARK}
    except (ValueError, KeyError, TypeError):
        return frozenset()
