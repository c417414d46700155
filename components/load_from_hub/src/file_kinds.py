"""Kinds of files, by their names and first bytes."""

import posixpath
import re
from collections.abc import Iterable
from typing import Final

from arrow_tables import ArrowTable, ParquetTable
from csv_tables import CsvTable
from data_files import COMPRESSED, DataFile, suffix_of
from loaded_rows import Table
from tar_samples import TarSamples
from text_tables import JsonLines, TextLines

from image_toolkit.images.image_files import START_BYTES, starts_as_image

TABLE_SUFFIXES: Final = (".parquet", ".csv", ".tsv", ".json", ".jsonl", ".arrow")
ARCHIVE_SUFFIXES: Final = (".tar", ".tgz")
READ_SUFFIXES: Final = (*TABLE_SUFFIXES, *ARCHIVE_SUFFIXES)
CAPTION_SUFFIXES: Final = (".txt", ".caption")
YAML_SUFFIXES: Final = (".yaml", ".yml")
OBJECT_SUFFIXES: Final = (".json", *YAML_SUFFIXES)

_METADATA: Final = re.compile(r"metadata\.(csv|jsonl|parquet)")
_SPLITS: Final = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("regularization", "regularisation"), "regularization"),
}
_GREY_PNG: Final = re.compile(rb"\x89PNG\r\n\x1a\n....IHDR.{9}[\x00\x03\x04]", re.DOTALL)
"""After size and bit depth, a PNG has its colour type: 0 is grey, 3 a palette, 4 has alpha."""

_NUMBERED: Final = re.compile(r"(?P<split>\w+(?:\.\w+)*)-\d{5}-of-\d{5}\b")
_KEYWORD: Final = re.compile(rf"(?:^|[-._ 0-9])({'|'.join(_SPLITS)})(?=$|[-._ 0-9])")


def table_of(file: DataFile) -> Table:
    """Return the reader of a file of rows."""
    if file.suffix in (".csv", ".tsv"):
        return CsvTable(file, "\t" if file.suffix == ".tsv" else ",")
    if file.suffix in (".json", ".jsonl"):
        return JsonLines(file)
    if file.suffix in CAPTION_SUFFIXES:
        return TextLines(file)
    if file.suffix in ARCHIVE_SUFFIXES:
        return TarSamples(file)
    return ArrowTable(file) if file.suffix == ".arrow" else ParquetTable(file)


def is_metadata(path: str) -> bool:
    """Return whether a file describes the images around it."""
    return _METADATA.fullmatch(posixpath.basename(path).lower()) is not None


def is_sidecar_object(path: str) -> bool:
    """Return whether a file beside an image holds an object, rather than a text."""
    return path.lower().endswith(OBJECT_SUFFIXES)


def begins_as_image(file: DataFile) -> bool:
    """Return whether the first bytes of a file are those of an image, whatever its name."""
    try:
        with file.open() as content:
            return starts_as_image(content.read(START_BYTES))
    except OSError:
        return False


def begins_as_grey_png(file: DataFile) -> bool:
    """Return whether a file's header is that of a grey or palette PNG, as of masks."""
    try:
        with file.open() as content:
            start = content.read(START_BYTES)
    except OSError:
        return False
    return _GREY_PNG.match(start) is not None


def captions_beside(paths: Iterable[str]) -> dict[str, str]:
    """Return the text files among paths, by the path of their image without its suffix.

    If an image has several, the kind that comes first in `CAPTION_SUFFIXES` is used.
    """
    kinds = {path: posixpath.splitext(path)[1].lower() for path in paths}
    ranked = sorted(
        (CAPTION_SUFFIXES.index(k), p) for p, k in kinds.items() if k in CAPTION_SUFFIXES
    )
    return {stem_of(path): path for _, path in reversed(ranked)}


def stem_of(path: str) -> str:
    """Return a path without its suffix."""
    return posixpath.splitext(path)[0]


def canonical_split(name: str) -> str:
    """Return the canonical name of a split: `val` is `validation`."""
    return _SPLITS.get(name.lower(), name)


def split_of_folder(path: str) -> str | None:
    """Return the split that the first folder of a path is named after; None if there is none."""
    first, below, _ = path.partition("/")
    return _SPLITS.get(first.lower()) if below else None


def split_of_table(path: str) -> str:
    """Return the split that a file of rows belongs to, by its folders and its name.

    That is the last split name in its folders, else that of a numbered file
    (`data/test-00000-of-00002`), else the last one in its name; files without one are for training.
    """
    folder, base = posixpath.split(path)
    if words := _split_words(folder):
        return _SPLITS[words[-1]]
    numbered = _NUMBERED.match(base) if posixpath.basename(folder) == "data" else None
    if numbered:
        return canonical_split(numbered["split"])
    while suffix_of(base) or base.lower().endswith(COMPRESSED):
        base = stem_of(base)
    words = _split_words(base)
    return _SPLITS[words[-1]] if words else "train"


def _split_words(path: str) -> list[str]:
    return [word for part in path.lower().split("/") for word in _KEYWORD.findall(part)]
