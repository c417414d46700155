"""`parquet`: tables with the bytes of the images, a caption and the metadata in a row.

The files tell `datasets` themselves that the column `image` holds images.
"""

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from columns import TEXT, columns_of
from datasets_layout import DatasetsLayout
from layout import ExportSettings
from literal_paths import literal_path
from masks import MASK
from read_pairs import ReadPair
from readme_features import told_files
from training_pairs import Pair

from image_toolkit.publishing.hashed_folder import HashedFile, HashedFolder

IMAGE: Final = "image"
_GROUP_BYTES: Final = 32 * 2**20
"""Most bytes of images in a row group: what a reader holds at once."""


class ParquetLayout(DatasetsLayout):
    """What `load_dataset("parquet")` reads, images decoded."""

    def __init__(self, name: str, folder: HashedFolder, settings: ExportSettings) -> None:
        super().__init__(name, folder, settings)
        self.columns = columns_of(self)
        told = datasets.Features.from_arrow_schema(pa.schema(self.columns.types))
        images = [IMAGE, MASK] if settings.masks else [IMAGE]
        features = datasets.Features({name: datasets.Image() for name in images} | told)
        self._schema = features.arrow_schema.with_metadata(
            {"huggingface": json.dumps({"info": {"features": features.to_dict()}})}
        )
        self._rows: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self._bytes: defaultdict[str, int] = defaultdict(int)
        self._open: dict[str, tuple[pq.ParquetWriter, HashedFile]] = {}

    def write(self, pair: Pair) -> None:
        """Keep the row, and write those kept when they make a row group."""
        image = {"bytes": pair.image, "path": pair.stem + pair.suffix}
        row = {IMAGE: image, **self.columns.row(pair, self.tokens)}
        if mask := self.mask(pair):
            row[MASK] = {"bytes": mask.png, "path": f"{pair.stem}.png"}
        if (self.counts[pair.split] - 1) % self.settings.pairs_per_archive == 0:
            self._finish(pair.split)
            self._begin(pair.split)
        self._rows[pair.split].append(row)
        self._bytes[pair.split] += len(pair.image)
        if self._bytes[pair.split] >= _GROUP_BYTES:
            self._flush(pair.split)

    def close(self) -> None:
        """Finish the last files."""
        for split in [*self._open]:
            self._finish(split)

    def usage(self) -> str:
        """Return how to load the tables."""
        return f"""\
{self.loading()}
The column `image` is decoded, `{TEXT}` is the caption, or the list of captions, and all else has a
column of its own. The scripts of `diffusers` take the folder as `--dataset_name`. Trainers that
want files do not read tables: there are layouts for them.
"""

    def front_matter(self, config: str) -> dict[str, Any]:
        """Return where the splits are."""
        return told_files(config, {split: f"{split}-*.parquet" for split in self.splits})

    def read(self) -> Iterator[ReadPair]:
        """Yield all pairs, as `datasets` streams the tables."""
        files = {split: [f"{split}-*.parquet"] for split in self.counts}
        with tempfile.TemporaryDirectory() as cache, literal_path(self.folder.path) as path:
            splits = datasets.load_dataset(
                "parquet",
                data_dir=str(path),
                data_files=files,
                cache_dir=cache,
                streaming=True,
            )
            for split, dataset in splits.items():
                yield from self.rows_read(str(split), dataset)

    def _begin(self, split: str) -> None:
        number = (self.counts[split] - 1) // self.settings.pairs_per_archive
        file = self.folder.create(f"{split}-{number:05d}.parquet")  # `_finish` closes both
        self._open[split] = pq.ParquetWriter(file, self._schema, compression="none"), file

    def _flush(self, split: str) -> None:
        if self._rows[split]:
            table = pa.Table.from_pylist(self._rows.pop(split), self._schema)
            self._open[split][0].write_table(table)
        self._bytes[split] = 0

    def _finish(self, split: str) -> None:
        if split in self._open:
            self._flush(split)
            for opened in self._open.pop(split):
                opened.close()
