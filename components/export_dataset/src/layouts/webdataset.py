"""`webdataset`: tar archives of `<key>.jpg`, `<key>.txt` and `<key>.json`.

`datasets` guesses the types of the JSON from the first five pairs where the README does not tell
them: it would fail at a field that is null there and a text later on.
"""

import io
import json
import tarfile
import tempfile
from collections.abc import Iterator
from typing import IO, Any, cast

import datasets
import pyarrow as pa
from columns import Columns
from datasets_layout import DatasetsLayout
from layout import ExportSettings
from literal_paths import literal_path
from read_pairs import ReadPair
from readme_features import told_features, told_files
from training_pairs import Pair

from image_toolkit.publishing.hashed_folder import HashedFile, HashedFolder
from image_toolkit.training.row_repeats import REPEATS

_MASKED = "; masks are in the column `mask.png`"


class WebDatasetLayout(DatasetsLayout):
    """Tar archives of a fixed number of pairs; the last of a split has what is left."""

    # Readers take the kinds of files in the first samples for those of all.
    image_kinds = frozenset({"JPEG"})

    def __init__(self, name: str, folder: HashedFolder, settings: ExportSettings) -> None:
        super().__init__(name, folder, settings)
        several, tokens = settings.several_captions, self.budget.field
        self.columns = Columns("caption", tokens, settings.metadata, several=several, lists=False)
        self._open: dict[str, tuple[tarfile.TarFile, HashedFile]] = {}

    def write(self, pair: Pair) -> None:
        """Write the members of a pair."""
        files = {
            pair.suffix: pair.image,
            ".txt": pair.texts.captions[0].encode(),
            ".json": json.dumps(self.columns.row(pair, self.tokens)).encode(),
        }
        if mask := self.mask(pair):
            files[".mask.png"] = mask.png
        archive = self._archive(pair.split)
        for suffix, content in files.items():
            entry = tarfile.TarInfo(pair.stem + suffix)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))

    def close(self) -> None:
        """Finish the last archives."""
        for split in [*self._open]:
            self._finish(split)

    def usage(self) -> str:
        """Return how to load the archives."""
        return f"""\
{self.loading()}
The image is in the column `jpg`, its caption in `txt`, everything else in `json`. Given the folder,
`datasets` reads in this file which types the fields have; given the archives alone, it guesses them
from the first five. Loaders of the `webdataset` package read `train-*.tar` as they are. Trainers
that want files do not read archives: there are layouts for them. Further captions are a list in
`json`, beside tags{_MASKED * bool(self.masks)}.
"""

    def front_matter(self, config: str) -> dict[str, Any]:
        """Return where the splits are, and which types the columns have."""
        objects = pa.struct(self.columns.types)
        features = datasets.Features.from_arrow_schema(
            pa.schema({"txt": pa.string(), "json": objects, "__key__": pa.string()})
        )
        features |= {"jpg": datasets.Image(), "__url__": datasets.Value("string")}
        if self.masks:
            features |= {"mask.png": datasets.Image()}
        files = {split: f"{split}-*.tar" for split in self.splits}
        told = told_features(config, datasets.Features(features))
        return told_files(config, files) | told

    def read(self) -> Iterator[ReadPair]:
        """Yield all pairs with all that is told of them, as the README has them loaded."""
        with tempfile.TemporaryDirectory() as cache, literal_path(self.folder.path) as path:
            splits = datasets.load_dataset(str(path), cache_dir=cache)
            for split, dataset in splits.items():
                for row in dataset:
                    captions = (row["txt"], *self.columns.captions(row["json"])[1:])
                    mask, repeats = row.get("mask.png"), row["json"].get(REPEATS, 1)
                    stem = row["__key__"]
                    yield ReadPair(str(split), stem, captions, row["jpg"], mask, repeats)

    def _archive(self, split: str) -> tarfile.TarFile:
        """Return the archive that the next pair of a split goes into."""
        number, place = divmod(self.counts[split] - 1, self.settings.pairs_per_archive)
        if place == 0:
            if split in self._open:
                self._finish(split)
            file = self.folder.create(f"{split}-{number:05d}.tar")  # `_finish` closes both
            written = cast("IO[bytes]", file)  # of which a stream of tar needs `write` alone
            self._open[split] = tarfile.open(fileobj=written, mode="w|"), file  # noqa: SIM115
        return self._open[split][0]

    def _finish(self, split: str) -> None:
        for opened in self._open.pop(split):
            opened.close()
