"""The effect of a push on a repository of the hub, file by file, computed without any change."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from fondant_spec.hub.export_folder import ExportFolder, OutgoingFile
from fondant_spec.hub.remote_repository import RemoteRepository
from fondant_spec.plain_words import size

_MOST_IN_FOLDER: Final = 10_000
"""The hub's limit of files per folder (https://huggingface.co/docs/hub/storage-limits)."""


@dataclass(frozen=True)
class PushPlan:
    """The files that a push would affect, by path.

    Attributes:
        repository: The target.
        private: Whether the repository is to be private.
        files: All files of the export.
        added: Files that the repository lacks.
        changed: Files that differ in the repository.
        removed: Files that an earlier push added, and that the export no longer has.
        foreign: Files in the repository that no push added.
        rewritten: Files whose sent content differs from the local one.
    """

    repository: RemoteRepository
    private: bool
    files: Mapping[str, OutgoingFile]
    added: Collection[str]
    changed: Collection[str]
    removed: Collection[str]
    foreign: Collection[str]
    rewritten: Collection[str]

    @classmethod
    def of(cls, export: ExportFolder, remote: RemoteRepository, *, private: bool) -> "PushPlan":
        """Compare an export with the content of a repository."""
        there = remote.files
        changed = [
            name
            for name, file in export.files.items()
            if name in there and not there[name].holds(file)
        ]
        return cls(
            repository=remote,
            private=private,
            files=export.files,
            added=[name for name in export.files if name not in there],
            changed=changed,
            removed=sorted(remote.pushed & there.keys() - export.files.keys()),
            foreign=sorted(there.keys() - remote.pushed - export.files.keys()),
            rewritten=export.rewritten,
        )

    @property
    def taken_over(self) -> list[str]:
        """Files of others that would be overwritten."""
        return sorted(set(self.changed) - self.repository.pushed)

    @property
    def outgoing(self) -> dict[str, OutgoingFile]:
        """The files to send, the mark last."""
        wanted = {*self.added, *self.changed}
        return {name: file for name, file in self.files.items() if name in wanted}

    def describe(self, *, each: bool = False) -> str:
        """Describe the plan, by folders and kinds of files, or file by file."""
        return "\n".join(self._lines(each=each))

    def _lines(self, *, each: bool) -> Iterator[str]:
        repository = self.repository
        kind = "private" if self.private else "PUBLIC"
        new = "" if repository.exists or repository.unasked else "new "
        yield f"{new}{kind} dataset {repository.name}, revision {repository.revision}"
        for told, names in (
            ("add", self.added),
            ("change", self.changed),
            ("remove", self.removed),
        ):
            yield from _each(told, names) if each else self._grouped(told, names)
        same = len(self.files) - len(self.added) - len(self.changed)
        if same:
            yield f"  same    {same:,} files"
        if self.foreign:
            yield f"  leave   {len(self.foreign):,} files of others, {_some(self.foreign)}"
        if self.rewritten:
            yield f"  without this machine's paths: {_some(self.rewritten)}"
        for folder, count in _crowded(self.files):
            yield (
                f"  {folder} would hold {count:,} files; the hub takes {_MOST_IN_FOLDER:,} in a "
                "folder: export as webdataset or parquet"
            )
        total = sum(file.size for file in self.outgoing.values())
        yield f"to send: {len(self.outgoing):,} files, {size(total)}"
        if repository.unasked:
            yield f"the hub was not asked what it has of them: {repository.unasked}"

    def _grouped(self, told: str, names: Collection[str]) -> Iterator[str]:
        groups = Counter[str]()
        sizes = Counter[str]()
        for name in names:
            path = PurePosixPath(name)
            group = name if path.parent == PurePosixPath() else f"{path.parent}/*{path.suffix}"
            groups[group] += 1
            sizes[group] += self.files[name].size if name in self.files else 0
        for group, count in groups.items():
            told_size = f", {size(sizes[group])}" if sizes[group] else ""
            files = f"{count:,} file{'s' if count > 1 else ''}"
            yield f"  {told.ljust(6)}  {group}  {files}{told_size}"


def _each(told: str, names: Collection[str]) -> Iterator[str]:
    return (f"  {told.ljust(6)}  {name}" for name in names)


def _some(names: Collection[str]) -> str:
    first = ", ".join(list(names)[:3])
    return first if len(names) <= 3 else f"{first}, ..."  # noqa: PLR2004


def _crowded(names: Collection[str]) -> list[tuple[str, int]]:
    folders = Counter(str(PurePosixPath(name).parent) for name in names)
    return [(folder, count) for folder, count in folders.items() if count > _MOST_IN_FOLDER]
