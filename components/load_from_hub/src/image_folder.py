"""Folders of images: with metadata, with a text beside each image, or with nothing.

Every image is a row. Those named in the metadata come first, in its order; the rest follow, sorted
by path, with null in the metadata's columns. `file_name` is the path below the folder.
"""

import posixpath
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import pyarrow as pa
from caption_lines import MORE_CAPTIONS, Lines
from dataset_errors import columns_told, explained
from file_kinds import captions_beside, is_metadata, is_sidecar_object, stem_of, table_of
from folder_files import LocalFolder, RemoteFolder
from listed_images import ListedImages
from loaded_rows import Chunk, Fault, Record, Table, chunked, columns_together
from sidecars import CAPTIONS, sidecar

from fondant_spec.errors import InputDataError
from image_toolkit.text_encodings import caption, printable

FILE_NAME: Final = "file_name"
IMAGE: Final = "image"
MASK: Final = "mask"
_LONGEST_CAPTION: Final = 1 << 20
_METADATA_ROWS: Final = 512


@dataclass(frozen=True)
class ImageFolder:
    """The images of a split of a folder.

    `images`, `metadata`, `texts` and `faults` are paths below it; `texts` are files beside images,
    and `masks` maps images to masks. A table in `metadata` with a non-standard name describes the
    folder of the same name. `keep` says which paths are in the split, since metadata may name
    images of several. `lines` splits texts that hold several captions.
    """

    folder: LocalFolder | RemoteFolder
    images: Sequence[str]
    metadata: Sequence[str] = ()
    texts: Sequence[str] = ()
    masks: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, Fault] = field(default_factory=dict)
    keep: Callable[[str], bool] = bool
    lines: Lines | None = None

    @property
    def name(self) -> str:
        """The folder's path."""
        return str(self.folder.root)

    @cached_property
    def image_columns(self) -> dict[str, str]:
        """The image columns, by the metadata columns with their file names."""
        found = {FILE_NAME: IMAGE}
        for _, table in self._tables():
            for column in table.columns([FILE_NAME]):
                if column.endswith(f"_{FILE_NAME}"):
                    found[column] = column.removesuffix(f"_{FILE_NAME}")
        return found | ({f"{MASK}_{FILE_NAME}": MASK} if self.masks else {})

    @cached_property
    def twins(self) -> frozenset[str]:
        """Columns with the same content: captions have two names."""
        told = {column for _, table in self._tables() for column in table.columns([FILE_NAME])}
        return frozenset() if told.intersection(CAPTIONS) else frozenset(CAPTIONS)

    def columns(self, wanted: Collection[str]) -> Mapping[str, pa.DataType]:
        """Return the columns of the images, of the metadata, and of the files beside images."""
        found = dict.fromkeys([*self.image_columns.values(), FILE_NAME], pa.string())
        tables = [table for _, table in self._tables()]
        metadata = columns_together(self.name, tables, [FILE_NAME] if tables else [])
        if tables and FILE_NAME not in metadata:
            raise _without_names(tables[0].name, metadata)
        for table in tables:
            found |= {c: t for c, t in table.columns(wanted).items() if c not in found}
        if any(not is_sidecar_object(path) for path in self.texts):
            found |= {c: t for c, t in self._text_columns.items() if c not in found}
        for path in self._objects.values():
            if all(column in found for column in wanted):
                break
            found |= {c: pa.null() for c in self._object(path) if c not in found}
        return found

    def chunks(self, columns: Sequence[str], rows: int) -> Iterator[Chunk]:
        """Yield the rows, at most `rows` at a time."""
        with explained(self.name):
            yield from chunked(self._records(set(columns)), columns, rows)

    @cached_property
    def _text_columns(self) -> dict[str, pa.DataType]:
        """The columns that text files beside images are read into."""
        more = {MORE_CAPTIONS: pa.list_(pa.string())} if self.lines else {}
        return dict.fromkeys(CAPTIONS, pa.string()) | more

    @cached_property
    def _captions(self) -> dict[str, str]:
        """The text files, by the path of the image without its suffix."""
        return captions_beside(self.texts)

    @cached_property
    def _objects(self) -> dict[str, str]:
        return {stem_of(path): path for path in self.texts if is_sidecar_object(path)}

    def _tables(self) -> Iterable[tuple[str, Table]]:
        for path in self.metadata:
            table = table_of(self.folder.file(path))
            if is_metadata(path):
                yield posixpath.dirname(path), table
            else:
                yield stem_of(path), ListedImages(table)

    def _records(self, columns: set[str]) -> Iterator[Record]:
        named: set[str] = set()
        for below, table in self._tables():
            for record in self._described(below, table, columns):
                path = record.cells.get(FILE_NAME)
                named.add(path or "")
                # A further image of a row, such as a mask, is not a row itself.
                named.update(
                    str(record.cells.get(column)) for column in self.image_columns.values()
                )
                if self.keep(path or posixpath.join(below, "_")):
                    yield record
        for path in sorted({*self.images, *self.faults} - named):
            yield self._beside(path, {}, columns)

    def _described(self, below: str, table: Table, columns: set[str]) -> Iterator[Record]:
        """Yield the rows of one metadata file, whose folder is `below`."""
        known = table.columns(columns)
        wanted = [c for c in {*columns, *self.image_columns} if c in known]
        for chunk in table.chunks(wanted, _METADATA_ROWS):
            cells = {name: _values(column) for name, column in chunk.cells.items()}
            for row, name in enumerate(chunk.names):
                found = {column: values[row] for column, values in cells.items()}
                for column, image in self.image_columns.items():
                    path = found.get(column)
                    if isinstance(path, str):
                        path = posixpath.normpath(posixpath.join(below, path))
                        found[image] = path
                        found[column] = path if column == FILE_NAME else found[column]
                fault = chunk.faults.get(row)
                if fault is not None:
                    yield Record(name, {}, fault)
                elif isinstance(found.get(FILE_NAME), str):
                    yield self._beside(found[FILE_NAME], found, columns)
                else:
                    yield Record(name, found)

    def _beside(self, path: str, cells: Mapping[str, Any], columns: set[str]) -> Record:
        """Return the row of an image, with the content of the files beside it."""
        found = {IMAGE: path, FILE_NAME: path, **cells}
        if (mask := self.masks.get(path)) is not None:
            found.setdefault(MASK, mask)
        stem = stem_of(path)
        fault = self.faults.get(path)
        if fault is None:
            try:
                if stem in self._captions:
                    wanted = columns.intersection(self._text_columns).difference(cells)
                    found |= self._texts(self._captions[stem], wanted)
                if stem in self._objects and columns.difference(found):
                    found = {**self._object(self._objects[stem]), **found}
            except (OSError, ValueError) as error:
                fault = Fault("bad_text", f"the text beside it cannot be read: {error}")
        return Record(printable(path), found, fault)

    def _texts(self, path: str, columns: Collection[str]) -> dict[str, Any]:
        """Return the columns from a text file: one caption, or the first and the others."""
        if not columns:
            return {}
        first, more = self._caption(path), list[str]()
        if self.lines:
            first, *more = self.lines(first) or [""]
        return {column: more if column == MORE_CAPTIONS else first for column in columns}

    def _caption(self, path: str) -> str:
        """Return the content of a text file, without a trailing newline."""
        with self.folder.file(path).open() as file:
            content = file.read(_LONGEST_CAPTION + 1)
        if len(content) > _LONGEST_CAPTION:
            msg = f"{printable(path)} has over a megabyte"
            raise ValueError(msg)
        return caption(content)

    def _object(self, path: str) -> dict[str, Any]:
        with self.folder.file(path).open() as file:
            return sidecar(path, file.read(_LONGEST_CAPTION))


def _without_names(name: str, columns: Collection[str]) -> InputDataError:
    if not columns:
        return InputDataError(f"{name}: is empty; fill it, or remove it to load the images alone.")
    told = "has no column `file_name` to say which image a row is about"
    return InputDataError(f"{name}: {told}. {columns_told(columns)}")


def _values(cells: pa.Array | list[Any]) -> list[Any]:
    return cells.to_pylist() if isinstance(cells, pa.Array) else cells
