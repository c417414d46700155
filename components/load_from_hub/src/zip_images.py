"""Zip archives of images. Members are read in memory, never unpacked to disk."""

import logging
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
from data_files import DataFile
from dataset_errors import explained
from loaded_rows import Chunk, Fault, Record, chunked

from fondant_spec.errors import InputDataError

logger = logging.getLogger(__name__)

MAX_BYTES: Final = 256 << 20
"""The most that is read of one member."""

_FILE_TYPE: Final = 0o170000
_REGULAR: Final = (0, 0o100000)
_CAPTION: Final = ".txt"


@dataclass(frozen=True)
class ZipImages:
    """An archive; each of its files that has an image's suffix is a row."""

    file: DataFile

    @property
    def name(self) -> str:
        """The file's path."""
        return self.file.name

    def columns(self, wanted: Collection[str]) -> Mapping[str, pa.DataType]:
        """Return the columns."""
        texts = dict.fromkeys(("file_name", "text", "caption"), pa.string())
        return {"image": pa.binary(), **texts}

    def chunks(self, columns: Sequence[str], rows: int) -> Iterator[Chunk]:
        """Yield the images in the order of their names, at most `rows` at a time."""
        with explained(self.name):
            yield from chunked(self._records(), columns, rows)

    def _records(self) -> Iterator[Record]:
        with self.file.open() as file, zipfile.ZipFile(file) as archive:
            members = {m.filename: m for m in archive.infolist() if not m.is_dir()}
            described = next((m for m in members if Path(m).stem == "metadata"), None)
            if described is not None:
                msg = f"{self.name}: holds {described!r}, which is not read there; unpack it."
                raise InputDataError(msg)
            pictures = [n for n in sorted(members) if not _is_beside(n)]
            texts = {str(Path(n).with_suffix(_CAPTION)) for n in pictures}
            left = {*members} - {*pictures} - texts
            if left:
                told = f"{len(left)} hidden or beside no image"
                logger.warning("%s: left out, as no part of the dataset: %s", self.name, told)
            for name in pictures:
                member = members[name]
                path = f"{self.name}/{name}"
                fault = _problem(member)
                if fault is not None:
                    yield Record(path, {}, fault)
                    continue
                text = members.get(str(Path(name).with_suffix(_CAPTION)))
                try:
                    caption = archive.read(text).decode() if text and not _problem(text) else None
                    cells = {"image": archive.read(member), "file_name": path}
                except (zipfile.BadZipFile, RuntimeError, ValueError) as error:
                    yield Record(path, {}, Fault("unreadable_file", str(error)))
                    continue
                yield Record(path, {**cells, "text": caption, "caption": caption})


def _is_beside(name: str) -> bool:
    """Return whether a member is hidden, the system's own, or the text of an image."""
    path = Path(name)
    return path.name.startswith(".") or "__MACOSX" in path.parts or path.suffix.lower() == _CAPTION


def _problem(member: zipfile.ZipInfo) -> Fault | None:
    """Return why a member is refused, if it is."""
    if (member.external_attr >> 16) & _FILE_TYPE not in _REGULAR:
        return Fault("not_a_file", "a link or device in an archive is not followed")
    if member.filename.startswith("/") or ".." in member.filename.split("/"):
        return Fault("path_outside_dataset", f"{member.filename!r} leads out of the archive")
    if member.file_size > MAX_BYTES:
        return Fault("file_too_large", f"it has more than {MAX_BYTES} bytes")
    return None
