"""Tar archives in WebDataset format: files of one sample share their name up to the first dot.

An archive is read as a stream, and nothing is unpacked to disk. Members that are not regular files,
or whose paths would lead out of a folder, are rejected by name.
"""

import logging
import posixpath
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, Final, Self

from loaded_rows import Fault, Record
from text_tables import RecordTable
from typed_cells import parsed_json

from image_toolkit.text_encodings import decoded, printable

logger = logging.getLogger(__name__)

MAX_BYTES: Final = 256 << 20
"""The most that is read of one member, in bytes."""

_BLOCK_BYTES: Final = 1 << 20
_IMAGES: Final = ("jpg", "jpeg", "png", "webp", "gif", "avif", "heic", "jfif", "bmp", "tif", "tiff")
_TEXT_SUFFIXES: Final = frozenset({"txt", "text", "caption", "cls", "transcript", "json"})
_MEMBERS: Final = {tarfile.LNKTYPE: "link", tarfile.SYMTYPE: "link", tarfile.FIFOTYPE: "pipe"}


class CheckedMember(tarfile.TarInfo):
    """A member whose header is checked: `tarfile` itself takes a damaged one for the end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Parse the header of a member.

        Raises:
            tarfile.ReadError: it is neither a valid header nor the end of the archive.
        """
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if len(buf) == tarfile.BLOCKSIZE and not any(buf):
                raise  # the end
            whole = len(buf) == tarfile.BLOCKSIZE
            problem = f"it is damaged: {error}" if whole else "it is cut off"
            msg = f"{problem}; make the archive, or fetch it, again"
            raise tarfile.ReadError(msg) from None


@dataclass(frozen=True)
class TarSamples(RecordTable):
    """A tar archive. Its columns are the suffixes, and `image`, `text`, `caption`, `file_name`.

    `image` is a sample's first image file, and `text` and `caption` its `txt`; `file_name` is the
    path of the image below the archive. The keys of a sample's `json` are columns, too.
    """

    def records(self) -> Iterator[Record]:
        """Yield the samples; members that may not be read are faults of their own."""
        key: str | None = None
        members: dict[str, tuple[str, bytes | Fault]] = {}
        hidden = 0
        with self.file.open() as file, _opened(file) as archive:
            for member in archive:
                if member.isdir() or posixpath.basename(member.name).startswith("."):
                    hidden += not member.isdir()
                    continue
                problem = _problem(member)
                folder, base = posixpath.split(member.name)
                stem, _, suffix = base.partition(".")
                sample = posixpath.join(folder, stem)
                if sample != key or suffix.lower() in members:
                    if members:
                        yield self._sample(key or "", members)
                    key, members = sample, {}
                if problem is not None:
                    yield Record(f"{self.name}/{printable(member.name)}", {}, problem)
                else:
                    content = archive.extractfile(member)
                    data = content.read() if content else b""
                    members[suffix.lower()] = member.name, data
            _check_rest(archive)
        if members:
            yield self._sample(key or "", members)
        if hidden:
            logger.warning("%s: left out, as no part of the dataset: %d hidden", self.name, hidden)

    def _sample(self, key: str, members: Mapping[str, tuple[str, Any]]) -> Record:
        found: dict[str, Any] = {"__key__": printable(key), "__url__": self.file.location}
        cells: dict[str, Any] = {}
        fault = None
        for suffix, (name, data) in members.items():
            try:
                cells[suffix] = decoded(data) if suffix in _TEXT_SUFFIXES else data
                value = parsed_json(data) if suffix == "json" else None
            except ValueError as error:
                fault = Fault("bad_text", f"{printable(name)} cannot be read: {error}")
                continue
            found.update(value if isinstance(value, dict) else {})
        image = next((suffix for suffix in _IMAGES if suffix in members), None)
        if image is not None:
            found["image"] = cells[image]
            found["file_name"] = printable(posixpath.join(self.name, members[image][0]))
        if "txt" in cells:
            found |= {"text": cells["txt"], "caption": cells["txt"]}
        return Record(f"{self.name}/{printable(key)}", {**found, **cells}, fault)


def _opened(file: IO[bytes]) -> tarfile.TarFile:
    return tarfile.open(fileobj=file, mode="r|", tarinfo=CheckedMember)


def _check_rest(archive: tarfile.TarFile) -> None:
    """Check that only zeros follow the end of an archive that was read.

    Raises:
        tarfile.ReadError: something else follows.
    """
    rest: Any = archive.fileobj
    while block := rest.read(_BLOCK_BYTES):
        if any(block):
            msg = "it goes on after its end, as if a second archive was appended; give it by itself"
            raise tarfile.ReadError(msg)


def _problem(member: tarfile.TarInfo) -> Fault | None:
    """Return why a member is rejected, if it is."""
    if not member.isreg():
        kind = _MEMBERS.get(member.type, "device")
        return Fault("not_a_file", f"a {kind} in an archive is not followed")
    if member.name.startswith("/") or ".." in member.name.split("/"):
        return Fault("path_outside_dataset", f"{member.name!r} leads out of the archive")
    if member.size > MAX_BYTES:
        return Fault("file_too_large", f"it has more than {MAX_BYTES} bytes")
    return None
