"""Zip archives of images. Members are read in memory, never unpacked to disk."""

import logging
import lzma
import posixpath
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa
from data_files import DataFile
from dataset_errors import explained
from file_kinds import CAPTION_SUFFIXES, captions_beside, stem_of
from loaded_rows import Chunk, Fault, Record, chunked

from fondant_spec.errors import InputDataError
from image_toolkit.images.image_files import (
    START_BYTES,
    has_image_suffix,
    kind_of,
    starts_as_image,
)
from image_toolkit.text_encodings import caption

logger = logging.getLogger(__name__)

MAX_BYTES: Final = 256 << 20
"""The most that is read of one member, in bytes."""

_FILE_TYPE: Final = 0o170000
_REGULAR: Final = (0, 0o100000)
_BESIDE_NONE: Final = "hidden or beside no image"
_DAMAGES: Final = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError),
    *(RuntimeError, ValueError),  # a password, an unknown method, not text
)
"""What reading one member may raise; those before and after it are still readable."""


@dataclass(frozen=True)
class ZipImages:
    """An archive; each image in it is a row: recognised by its suffix, or by its first bytes."""

    file: DataFile

    @property
    def name(self) -> str:
        """The file's path."""
        return self.file.name

    def columns(self, wanted: Collection[str]) -> Mapping[str, pa.DataType]:
        """Return the columns; those for texts have a type if there are any texts."""
        with explained(self.name), self.file.open() as file, zipfile.ZipFile(file) as archive:
            members = self._sorted_in(archive)
        texts = pa.string() if members.captions else pa.null()
        return {
            "image": pa.binary(),
            "file_name": pa.string(),
            **dict.fromkeys(("text", "caption"), texts),
        }

    def chunks(self, columns: Sequence[str], rows: int) -> Iterator[Chunk]:
        """Yield the images sorted by name, at most `rows` at a time."""
        with explained(self.name):
            yield from chunked(self._records(), columns, rows)

    def _records(self) -> Iterator[Record]:
        with self.file.open() as file, zipfile.ZipFile(file) as archive:
            members = self._sorted_in(archive)
            if members.left_out:
                told = ", ".join(f"{n} {kind}" for kind, n in sorted(members.left_out.items()))
                logger.warning("%s: left out, as no part of the dataset: %s", self.name, told)
            for member in members.images:
                yield self._record(archive, member, members.captions.get(_stem(member)))

    def _sorted_in(self, archive: zipfile.ZipFile) -> "Members":
        """Return the members of an archive by kind.

        Raises:
            InputDataError: it contains metadata, which is not supported in archives.
        """
        found = Members()
        files = {m.filename: m for m in archive.infolist() if not m.is_dir()}
        described = next((name for name in files if Path(name).stem == "metadata"), None)
        if described is not None:
            msg = f"{self.name}: holds {described!r}, which is not read there; unpack it."
            raise InputDataError(msg)
        beside = []
        for name, member in sorted(files.items()):
            path = Path(name)
            if path.name.startswith(".") or "__MACOSX" in path.parts:
                found.left_out[_BESIDE_NONE] += 1
            elif path.suffix.lower() in CAPTION_SUFFIXES:
                beside.append(name)
            elif has_image_suffix(name) or _starts_as_image(archive, member):
                found.images.append(member)
            else:
                found.left_out[kind_of(name)] += 1
        stems = {_stem(member) for member in found.images}
        names = [name for name in beside if _stem(files[name]) in stems]
        found.captions = {
            posixpath.normpath(stem): files[name] for stem, name in captions_beside(names).items()
        }
        found.left_out[_BESIDE_NONE] += len(beside) - len(names)
        found.left_out = +found.left_out
        return found

    def _record(
        self, archive: zipfile.ZipFile, member: zipfile.ZipInfo, text: zipfile.ZipInfo | None
    ) -> Record:
        """Return the row of an image, with the text beside it."""
        path = f"{self.name}/{member.filename}"
        fault = _problem(member)
        if fault is not None:
            return Record(path, {}, fault)
        try:
            told = caption(archive.read(text)) if text and not _problem(text) else None
            cells = {"image": archive.read(member), "file_name": path}
        except _DAMAGES as error:
            return Record(path, {}, Fault("unreadable_file", str(error)))
        return Record(path, {**cells, "text": told, "caption": told})


@dataclass
class Members:
    """The members of an archive: images sorted by name, and the texts beside them.

    The texts are keyed by the path of their image without its suffix. `left_out` counts what is not
    read.
    """

    images: list[zipfile.ZipInfo] = field(default_factory=list)
    captions: dict[str, zipfile.ZipInfo] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)


def _stem(member: zipfile.ZipInfo) -> str:
    return posixpath.normpath(stem_of(member.filename))


def _starts_as_image(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    """Return whether the first bytes of a member are those of an image, whatever its name."""
    try:
        with archive.open(member) as content:
            return starts_as_image(content.read(START_BYTES))
    except _DAMAGES:
        return False


def _problem(member: zipfile.ZipInfo) -> Fault | None:
    """Return why a member is rejected, if it is."""
    if (member.external_attr >> 16) & _FILE_TYPE not in _REGULAR:
        return Fault("not_a_file", "a link or device in an archive is not followed")
    if member.filename.startswith("/") or ".." in member.filename.split("/"):
        return Fault("path_outside_dataset", f"{member.filename!r} leads out of the archive")
    if member.file_size > MAX_BYTES:
        return Fault("file_too_large", f"it has more than {MAX_BYTES} bytes")
    return None
