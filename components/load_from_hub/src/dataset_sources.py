"""The source of rows: a local folder, files, or a dataset on the hub.

Folders and files are read here, not by `datasets`: it guesses splits from the names of images and
types from the first rows, and reads the text `None` as null. On the hub, `datasets` finds a
dataset's files, configurations and splits, and reads the formats that are not read here.
"""

import logging
import posixpath
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import fsspec
from arrow_tables import ArrowTable, ParquetTable
from data_files import DataFile, suffix_of
from dataset_errors import explained
from declared_features import Declared, of_schema
from file_kinds import READ_SUFFIXES, canonical_split, table_of
from folder_files import LocalFolder, RemoteFolder
from folder_layout import declared_split, layout_of, tables_by_split
from hub_datasets import hub_source
from loaded_rows import Source, Table, columns_together
from readme_configs import (
    MOST_BYTES,
    README,
    declared_features,
    front_matter,
    matching,
    split_patterns,
)
from typed_cells import parsed_json

from fondant_spec.dataset.path_patterns import matches
from fondant_spec.errors import InputDataError
from image_toolkit.text_encodings import printable

logger = logging.getLogger(__name__)

_HUB_ID: Final = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
_MOST_NAMED: Final = 5
_EXPORT: Final = "export.json"
_MOST_OF_EXPORT: Final = 64 << 20


def open_source(
    name: str,
    *,
    wanted: Collection[str] = (),
    config: str | None = None,
    split: str = "train",
    revision: str | None = None,
    follow_links: bool = False,
) -> Source:
    """Open a split of the dataset that `name` refers to: a local folder, files, or an id.

    `wanted` are the columns that will be read. `follow_links` allows links in a local folder that
    lead out of it.

    Raises:
        InputDataError: there is no such dataset, configuration, split or revision, it cannot be
            reached, or it cannot be read.
    """
    if not name.strip():
        msg = "dataset_name is empty; give a folder, a file, or the id of a dataset on the hub."
        raise InputDataError(msg)
    with explained(name):
        path = _local_path(name)
        if path is not None and path.is_dir():
            folder = LocalFolder(path, follow_links)
            return _folder_source(name, folder, wanted, config, split)
        if files := _files(name, path):
            root = path.parent if path is not None else None
            opener: LocalFolder | RemoteFolder = RemoteFolder(name.rpartition("/")[0])
            if root is not None:
                opener = LocalFolder(root, follow_links)
            tables = {"train": [table_of(file) for file in files]}
            return _source(name, tables, split, wanted, opener, Declared())
        return hub_source(name, wanted=wanted, config=config, split=split, revision=revision)


def _local_path(name: str) -> Path | None:
    """Return the local path that a name refers to; None for a URL of other storage."""
    if name.startswith("file://"):
        return Path(name.removeprefix("file://")).absolute()
    path = Path(name).expanduser().absolute()
    return None if "://" in name and not path.exists() else path


def _files(name: str, path: Path | None) -> list[DataFile]:
    """Return the files that a name refers to; none if it is an id on the hub.

    Raises:
        InputDataError: it is a path or URL, but of nothing that can be read.
    """
    if suffix_of(name) in READ_SUFFIXES:
        if path is None:
            found = _remote_files(name)
        else:
            paths = [path] if path.exists() else _globbed(path)
            found = [DataFile(printable(p.name), str(p)) for p in paths]
        if found:
            return found
    exists = path is not None and path.exists()
    if path is None or exists or suffix_of(name) in READ_SUFFIXES or not _HUB_ID.fullmatch(name):
        problem = "cannot be read as a dataset" if exists else "there is no such file or folder"
        msg = (
            f"{name}: {problem}; give a folder, a file ending in {', '.join(READ_SUFFIXES)}, "
            "or the id of a dataset on the Hugging Face hub, such as `owner/name`."
        )
        raise InputDataError(msg)
    return []


def _globbed(path: Path) -> list[Path]:
    """Return the files that match a path with wildcards."""
    return [match for match in map(Path, matches(str(path))) if match.is_file()]


def _remote_files(url: str) -> list[DataFile]:
    fs, path = fsspec.core.url_to_fs(url)
    matches = sorted(fs.glob(path)) if "*" in url else [path]
    urls = [fs.unstrip_protocol(match) for match in matches]
    return [DataFile(url.rpartition("/")[2], url) for url in urls]


def _folder_source(
    name: str, folder: LocalFolder, wanted: Collection[str], config: str | None, split: str
) -> Source:
    listing = folder.listing()
    if listing.own:
        told = ", ".join(sorted(listing.own))
        logger.warning("%s: not loaded, as an export, a page or a run wrote it: %s", name, told)
    matter = front_matter(_readme(folder, listing.names))
    patterns = split_patterns(name, matter, config)
    if patterns is None:
        if config not in (None, "default"):
            msg = f"{name}: there is no configuration {config!r}; its README names none."
            raise InputDataError(msg)
        _refuse_several(name, folder, listing.names)
        layout = layout_of(folder, listing, listing.names)
        tables: Mapping[str, Sequence[Table]] = tables_by_split(layout)
        left_out = layout.left_out()
        hint = _hint(name, layout.beside_tables)
    else:
        chosen = {s: matching(name, found, listing.names) for s, found in patterns.items()}
        tables = {
            s: declared_split(layout_of(folder, listing, names), names)
            for s, names in chosen.items()
        }
        hint = ""
        named = {path for names in chosen.values() for path in names}
        left_out = f"{len(set(listing.names) - named)} files that its README does not name"
    if left_out:
        logger.warning("%s: left out, as no part of the dataset: %s", name, left_out)
    if listing.faults and not any(hasattr(t, "faults") for ts in tables.values() for t in ts):
        path, fault = next(iter(listing.faults.items()))
        msg = f"{name}: {path} is not read: {fault.message}."
        raise InputDataError(msg)
    declared = declared_features(matter, config)
    return replace(_source(name, tables, split, wanted, folder, declared), hint=hint)


def _refuse_several(name: str, folder: LocalFolder, names: Sequence[str]) -> None:
    """Reject a folder that holds the same pairs in several layouts, of which one is enough.

    Raises:
        InputDataError: naming each of them.
    """
    if _EXPORT not in names:
        return
    with folder.file(_EXPORT).open() as file:
        told = parsed_json(file.read(_MOST_OF_EXPORT))
    layouts = told.get("layouts") if isinstance(told, Mapping) else None
    here = {path.partition("/")[0] for path in names}
    if isinstance(layouts, list) and len(layouts) > 1 and here.issuperset(map(str, layouts)):
        each = ", ".join(f"{name}/{layout}" for layout in layouts)
        msg = f"{name}: holds the same pairs once for each layout; load one of {each}."
        raise InputDataError(msg)


def _hint(name: str, images: int) -> str:
    """Return a hint that images in a folder with files of rows are not rows themselves."""
    if not images:
        return ""
    told = f"The rows are those of its data files, not its {images} images"
    logger.info("%s: %s%s, which are read where a row names them", name, told[0].lower(), told[1:])
    return f"{told}; call a file that describes them metadata.csv, or move the files of rows away."


def _readme(folder: LocalFolder, names: Sequence[str]) -> str:
    if README not in names:
        return ""
    with folder.file(README).open() as file:
        return file.read(MOST_BYTES).decode("utf-8", "replace")


def _source(
    name: str,
    splits: Mapping[str, Sequence[Table]],
    split: str,
    wanted: Collection[str],
    opener: LocalFolder | RemoteFolder,
    declared: Declared,
) -> Source:
    tables = splits.get(split) or splits.get(canonical_split(split))
    if tables is None:
        told = "; ".join(f"{s} ({_named(splits[s])})" for s in splits)
        msg = f"{name}: there is no split {split!r}. Splits: {told}."
        raise InputDataError(msg)
    others = {s: ts for s, ts in splits.items() if ts is not tables}
    if others:
        told = "; ".join(f"{s} ({_named(ts)})" for s, ts in others.items())
        logger.info("%s: loads the split %r (%s), not %s", name, split, _named(tables), told)
    columns = columns_together(name, tables, wanted)
    for table in tables[:1]:
        if isinstance(table, ParquetTable | ArrowTable):
            declared = of_schema(table.schema()) | declared
    images = declared.image_columns | frozenset().union(*map(_image_columns, tables))
    twins: frozenset[str] = frozenset().union(*(getattr(table, "twins", ()) for table in tables))
    source = Source(name, tables, columns, opener.read, images, declared.classes)
    return replace(source, twins=twins)


def _image_columns(table: Table) -> frozenset[str]:
    return frozenset(getattr(table, "image_columns", {}).values())


def _named(tables: Sequence[Table]) -> str:
    names = [posixpath.basename(table.name) for table in tables]
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
