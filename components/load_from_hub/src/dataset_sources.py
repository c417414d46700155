"""Where rows come from: any dataset that the `datasets` library can open, on the hub or local.

`datasets` finds the files of a dataset, its configurations and its splits, and reads all formats
but Parquet. Parquet is read here, because `datasets` holds several row groups of it at a time,
which, where they are images, is a gigabyte.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from dataset_errors import explained
from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder
from datasets.packaged_modules.parquet.parquet import Parquet
from huggingface_hub import HfApi

from fondant_spec.dataset import storage
from fondant_spec.errors import InputDataError, did_you_mean

_FORMATS: Final = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".tar": "webdataset",
}
_DATA_SUFFIXES: Final = frozenset({*_FORMATS, ".arrow", ".zip", ".tsv", ".gz", ".zst"})
_METADATA: Final = frozenset(ImageFolder.METADATA_FILENAMES)
_IMAGE_SUFFIXES: Final = frozenset(ImageFolder.EXTENSIONS)
_HUB_ID: Final = re.compile(r"[\w.-]+(/[\w.-]+)?")
_BUFFER_BYTES: Final = 1 << 20
_BATCH_BYTES: Final = 8 << 20

Read = Callable[[list[str], int], Iterator[pa.RecordBatch]]
Accepts = Callable[[pa.DataType], bool]


@dataclass(frozen=True)
class Source:
    """A split of a dataset, ready to be read.

    `name` is how messages call it. `root` is the folder or URL that its files lie in. `features`
    are its columns, as `datasets` types. `commit` is that of a dataset on the hub.
    `batches(columns, rows)` yields the given columns of all rows, at most `rows` at a time, always
    in the same order.
    """

    name: str
    root: str
    features: Mapping[str, Any]
    commit: str | None
    batches: Read

    def type_of(self, column: str) -> pa.DataType:
        """Return the Arrow type that a column's cells have."""
        return datasets.Features({column: self.features[column]}).arrow_schema.field(column).type

    def declares_images(self, column: str) -> bool:
        """Return whether the dataset itself says that a column holds images."""
        return isinstance(self.features[column], datasets.Image)

    def require(
        self, columns: Iterable[str], accepts: Accepts, kind: str, advice: str = ""
    ) -> None:
        """Make sure that there are such columns, of a type that `accepts` says is of `kind`.

        Raises:
            InputDataError: naming the columns that there are, and ending in `advice`.
        """
        for column in columns:
            if column not in self.features:
                known = list(self.features)
                problem = f"there is no column {column!r}{did_you_mean(column, known)}"
            elif not accepts(self.type_of(column)):
                problem = f"column {column!r} is not {kind}, but {self.type_of(column)}."
            else:
                continue
            msg = f"{self.name}: {problem} {self._columns()} {advice}".rstrip()
            raise InputDataError(msg)

    def _columns(self) -> str:
        marked = [f"{c} (images)" if self.declares_images(c) else c for c in self.features]
        return f"Columns: {', '.join(marked) or 'none'}."


def open_source(
    name: str,
    *,
    config: str | None = None,
    split: str = "train",
    revision: str | None = None,
) -> Source:
    """Open a split of the dataset that `name` stands for: a local folder, files, or an id.

    Raises:
        InputDataError: there is no such dataset, configuration, split or revision, it cannot be
            reached, or it cannot be read.
    """
    commit = None
    with explained(name):
        if local := _local_folder(name):
            root, builder = local, _folder_builder(local, config)
        elif _is_data_file(name):
            path = _local_path(name)
            root, builder = path.rpartition("/")[0], _file_builder(path)
        else:
            commit = _commit(name, revision)
            root = f"hf://datasets/{name}"
            builder = datasets.load_dataset_builder(name, config, revision=commit)
        if hasattr(builder.config, "decode_num_threads"):
            builder.config.decode_num_threads = 0  # not even to read ahead: bytes are all we want
        is_parquet = isinstance(builder, Parquet)
        splits = builder.config.data_files if is_parquet else builder.as_streaming_dataset()
    if split not in splits:
        msg = f"{name}: there is no split {split!r}. Splits: {', '.join(map(str, splits))}."
        raise InputDataError(msg)
    if is_parquet:
        files = [str(file) for file in splits[split]]
        return _parquet(name, root, files, builder.info.features, commit)
    return _streamed(name, root, splits[split], commit)


def _local_path(name: str) -> str:
    if "://" in name and not name.startswith("file://"):
        return name
    return str(Path(name.removeprefix("file://")).expanduser().absolute())


def _local_folder(name: str) -> str | None:
    path = _local_path(name)
    if "://" not in path and Path(path).is_dir():
        return path
    return None


def _is_data_file(name: str) -> bool:
    """Return whether a name is that of files rather than an id on the hub.

    Raises:
        InputDataError: it is a path or URL, but of nothing that can be read.
    """
    known = Path(name.removesuffix(".gz")).suffix.lower() in _FORMATS
    if known and ("://" in name or "*" in name or Path(_local_path(name)).is_file()):
        return True
    if "://" in name or not _HUB_ID.fullmatch(name) or Path(name).exists() or known:
        exists = "://" in name or Path(_local_path(name)).exists()
        problem = "cannot be read as a dataset" if exists else "there is no such file or folder"
        msg = (
            f"{name}: {problem}; give a folder, a file ending in {', '.join(_FORMATS)}, "
            "or the id of a dataset on the Hugging Face hub, such as `owner/name`."
        )
        raise InputDataError(msg)
    return False


def _file_builder(path: str) -> Any:
    kind = _FORMATS[Path(path.removesuffix(".gz")).suffix.lower()]
    return datasets.load_dataset_builder(kind, data_files={"train": path})


def _folder_builder(folder: str, config: str | None) -> Any:
    if _is_image_folder(Path(folder)):
        return datasets.load_dataset_builder("imagefolder", data_dir=folder)
    return datasets.load_dataset_builder(folder, config)


def _is_image_folder(folder: Path) -> bool:
    """Return whether a folder holds images and no data files.

    `datasets` goes by the commonest suffix, and takes images with a text file beside each, as
    trainers read them, for a text dataset.
    """
    if (folder / "README.md").exists():
        return False
    images = False
    for _, _, names in os.walk(folder):
        for name in names:
            suffix = Path(name).suffix.lower()
            if suffix in _DATA_SUFFIXES and name not in _METADATA:
                return False
            images = images or suffix in _IMAGE_SUFFIXES
    return images


def _commit(name: str, revision: str | None) -> str | None:
    """Return the commit that a revision of a dataset on the hub stands for at present."""
    commit = HfApi().dataset_info(name, revision=revision, timeout=30).sha
    return commit or revision


def _parquet(name: str, root: str, files: list[str], features: Any, commit: str | None) -> Source:
    with explained(name), pq.ParquetFile(storage.open_input(files[0])) as file:
        declared = features or datasets.Features.from_arrow_schema(file.schema_arrow)

    def read(columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
        with explained(name):
            for file in files:
                yield from _parquet_batches(file, columns, rows)

    return Source(name, root, dict(declared), commit, read)


def _parquet_batches(path: str, columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
    source = storage.open_input(path)
    with pq.ParquetFile(source, pre_buffer=False, buffer_size=_BUFFER_BYTES) as file:
        groups = [file.metadata.row_group(n) for n in range(file.num_row_groups)]
        row_bytes = max((g.total_byte_size / max(g.num_rows, 1) for g in groups), default=0)
        most = max(1, min(rows, int(_BATCH_BYTES // max(row_bytes, 1))))
        for batch in file.iter_batches(most, columns=columns):
            yield batch.select(columns)


def _streamed(name: str, root: str, dataset: Any, commit: str | None) -> Source:
    with explained(name):
        features = dict(dataset.features or _sniffed(dataset))
        if dataset.features:
            dataset = dataset.decode(enable=False)

    def read(columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
        with explained(name):
            chosen = dataset.select_columns(columns).with_format("arrow")
            for table in chosen.iter(batch_size=rows):
                yield from table.select(columns).to_batches()

    return Source(name, root, features, commit, read)


def _sniffed(dataset: Any) -> Mapping[str, Any]:
    """Return the columns of a dataset that does not declare them, from its first row."""
    for table in islice(dataset.with_format("arrow").iter(batch_size=1), 1):
        return dict(datasets.Features.from_arrow_schema(table.schema))
    return {}
