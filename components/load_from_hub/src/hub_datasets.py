"""Datasets on the hub: `datasets` finds their files, and reads formats that are not read here."""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import datasets
import fsspec
import pyarrow as pa
from arrow_tables import ParquetTable
from data_files import DataFile
from dataset_errors import explained
from declared_features import Declared, of_features, of_schema
from file_kinds import ARCHIVE_SUFFIXES, canonical_split, table_of
from folder_files import Listing, RemoteFolder
from folder_layout import declared_split, layout_of, tables_by_split
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError
from loaded_rows import Chunk, Source, Table, columns_together
from readme_configs import MOST_BYTES, README, configurations, front_matter

from fondant_spec.errors import InputDataError

logger = logging.getLogger(__name__)

_READ_HERE: Final = ("parquet", "csv", "json", "text", "webdataset")
_IMAGES: Final = "imagefolder"


def hub_source(
    name: str,
    *,
    wanted: Collection[str],
    config: str | None,
    split: str,
    revision: str | None,
) -> Source:
    """Open a split of a dataset on the hub, at the commit that a revision currently points to.

    Raises:
        InputDataError: there is no such split, or a file of the dataset is elsewhere.
    """
    with explained(name, missing="there is no such folder or file here; on the hub: "):
        commit = HfApi().dataset_info(name, revision=revision, timeout=30).sha or revision
    root = f"hf://datasets/{name}@{commit}"
    described = configurations(name, front_matter(_readme(name, commit)))
    builder = datasets.load_dataset_builder(name, config, revision=commit)
    if hasattr(builder.config, "decode_num_threads"):
        builder.config.decode_num_threads = 0  # not even read-ahead: only the bytes are needed
    files = _confined(name, root, builder.config.data_files or {})
    kind = type(builder).__module__.rpartition(".")[2]
    splits: Mapping[str, Sequence[Table]]
    if kind in _READ_HERE:
        splits = {s: [table_of(_file(root, path)) for path in paths] for s, paths in files.items()}
    elif kind == _IMAGES and not _has_archives(files):
        splits = _image_splits(root, files if described else None)
    else:
        streams = builder.as_streaming_dataset()
        splits = {str(s): [StreamedTable(name, stream)] for s, stream in streams.items()}
    tables = splits.get(split) or splits.get(canonical_split(split))
    if tables is None:
        msg = f"{name}: there is no split {split!r}. Splits: {', '.join(splits)}."
        raise InputDataError(msg)
    columns = columns_together(name, tables, wanted)
    declared = _declared(builder, tables[0])
    images = declared.image_columns | frozenset(getattr(tables[0], "image_columns", {}).values())
    streamed = isinstance(tables[0], StreamedTable)
    opener = RemoteFolder(f"hf://datasets/{name}" if streamed else root)
    return Source(name, tables, columns, opener.read, images, declared.classes, commit)


def _readme(name: str, commit: str | None) -> str:
    try:
        path = hf_hub_download(name, README, repo_type="dataset", revision=commit)
    except EntryNotFoundError:
        return ""
    with Path(path).open("rb") as file:
        return file.read(MOST_BYTES).decode("utf-8", "replace")


def _confined(name: str, root: str, files: Mapping[Any, Sequence[Any]]) -> dict[str, list[str]]:
    """Return the files of each split, after checking that all are below the dataset."""
    found = {str(split): list(map(str, paths)) for split, paths in files.items()}
    for path in (path for paths in found.values() for path in paths):
        if not path.startswith(f"{root}/") or "/../" in path:
            msg = f"{name}: its file {path!r} is not below the dataset; that is not read."
            raise InputDataError(msg)
    return found


def _file(root: str, path: str) -> DataFile:
    return DataFile(path.removeprefix(f"{root}/"), path)


def _has_archives(files: Mapping[str, Sequence[str]]) -> bool:
    suffixes = (".zip", *ARCHIVE_SUFFIXES)
    return any(path.lower().endswith(suffixes) for paths in files.values() for path in paths)


def _image_splits(
    root: str, files: Mapping[str, Sequence[str]] | None
) -> Mapping[str, Sequence[Table]]:
    """Return the images of each split: according to the README, or by their folders."""
    fs, path = fsspec.core.url_to_fs(root)
    names = sorted(str(found).removeprefix(f"{path}/") for found in fs.find(path))
    folder, listing = RemoteFolder(root), Listing(names)
    if files is None:
        layout = layout_of(folder, listing, names)
        splits = tables_by_split(layout)
        if layout.left_out():
            logger.warning("%s: left out, as no part of the dataset: %s", root, layout.left_out())
        return splits
    below = {s: [p.removeprefix(f"{root}/") for p in paths] for s, paths in files.items()}
    return {s: declared_split(layout_of(folder, listing, n), n) for s, n in below.items()}


def _declared(builder: Any, table: Table) -> Declared:
    if isinstance(table, StreamedTable):
        return of_features(table.features.to_dict())
    found = of_schema(table.schema()) if isinstance(table, ParquetTable) else Declared()
    return found | of_features((builder.info.features or datasets.Features()).to_dict())


@dataclass(frozen=True)
class StreamedTable:
    """A split read by `datasets`."""

    name: str
    stream: Any

    @property
    def features(self) -> Any:
        """The columns, as `datasets` types."""
        if self.stream.features:
            return self.stream.features
        for table in islice(self.stream.with_format("arrow").iter(batch_size=1), 1):
            return datasets.Features.from_arrow_schema(table.schema)
        return datasets.Features()

    def columns(self, wanted: Collection[str]) -> Mapping[str, pa.DataType]:
        """Return the columns and their types."""
        schema = self.features.arrow_schema
        return dict(zip(schema.names, schema.types, strict=True))

    def chunks(self, columns: Sequence[str], rows: int) -> Iterator[Chunk]:
        """Yield the rows, at most `rows` at a time."""
        number = 0
        with explained(self.name):
            stream = self.stream.decode(enable=False) if self.stream.features else self.stream
            chosen = stream.select_columns(list(columns)).with_format("arrow")
            for table in chosen.iter(batch_size=rows):
                for batch in table.to_batches():
                    names = [f"{self.name} row {number + row}" for row in range(len(batch))]
                    yield Chunk(names, {column: batch.column(column) for column in columns})
                    number += len(batch)
