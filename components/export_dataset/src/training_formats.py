"""The layouts that trainers read, each with the reader that proves it.

- `imagefolder`: `train/metadata.jsonl` with `file_name` and `text`, images flat beside it; what
  `datasets` and the `diffusers` training scripts load.
- `kohya`: each image with a text file of the same stem, and `dataset.toml`; for sd-scripts.
- `webdataset`: tar archives of `<key>.jpg`, `<key>.txt` and `<key>.json`.

A writer keeps what it was given, and compares that with what its reader finds.
"""

import io
import json
import tarfile
import tempfile
import tomllib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, ClassVar, Final, cast

import datasets
from hashed_folder import HashedFile, HashedFolder
from literal_paths import literal_path
from picture_looks import Look, look_of, look_of_file
from PIL import Image
from training_pairs import SUFFIXES, TRAIN, Pair

from fondant_spec.errors import InvalidDatasetError

CAPTION_COLUMN: Final = "text"


class TrainingFormat(ABC):
    """Writes pairs into a folder, and reads them back.

    `resolution` is the side in pixels that the model trains at; `pairs_per_archive` bounds the
    archives of a layout that has some. `captions` holds what was written, and `looks` what the
    captioned images look like, by split and file stem; `counts` how many there are in each split.
    """

    kinds: ClassVar[frozenset[str]] = frozenset(SUFFIXES)
    """The image formats that the layout takes."""

    def __init__(
        self, folder: HashedFolder, *, resolution: int = 512, pairs_per_archive: int = 10_000
    ) -> None:
        self.folder = folder
        self.resolution = resolution
        self.pairs_per_archive = pairs_per_archive
        self.captions: dict[tuple[str, str], str] = {}
        self.looks: dict[tuple[str, str], Look] = {}
        self.counts: Counter[str] = Counter()

    def add(self, pair: Pair) -> None:
        """Write a pair."""
        looks = look_of_file(pair.image if pair.captioned is None else pair.captioned)
        self.captions[pair.split, pair.stem] = self._caption(pair)
        self.looks[pair.split, pair.stem] = looks
        self.counts[pair.split] += 1
        self._write(pair)

    @abstractmethod
    def close(self) -> None:
        """Write what comes last."""

    @abstractmethod
    def read(self) -> Iterator[tuple[str, str, str, Image.Image]]:
        """Yield (split, file stem, caption, image) of all pairs, read the way a trainer does."""

    def check(self) -> None:
        """Compare what is read with what was written.

        Raises:
            InvalidDatasetError: naming the first difference.
        """
        datasets.disable_progress_bars()  # they tell of downloads, and nothing is downloaded
        problem = self._difference()
        if problem:
            msg = f"{self.folder.path}: the export is not as it was written: {problem}."
            raise InvalidDatasetError(msg)

    def _difference(self) -> str | None:
        missing = dict(self.captions)
        for split, stem, caption, image in self.read():
            written = missing.pop((split, stem), None)
            if written is None:
                return f"{split}/{stem} reads back, but was not written, or only once"
            if caption != written:
                return f"{split}/{stem} reads back as {caption!r}, not {written!r}"
            if look_of(image).differs(self.looks[split, stem]):
                return f"{split}/{stem} reads back as another picture than was captioned"
        if missing:
            split, stem = next(iter(missing))
            left = f"{len(missing)} of {len(self.captions)} pairs"
            return f"{left} do not read back, the first is {split}/{stem}"
        return None

    @abstractmethod
    def _write(self, pair: Pair) -> None: ...

    def _caption(self, pair: Pair) -> str:
        return pair.caption


class ImageFolderLayout(TrainingFormat):
    """What `load_dataset("imagefolder")` reads."""

    def __init__(self, folder: HashedFolder, **settings: int) -> None:
        super().__init__(folder, **settings)
        self._files: dict[str, HashedFile] = {}

    def _write(self, pair: Pair) -> None:
        name = pair.stem + pair.suffix
        if pair.split not in self._files:
            self._files[pair.split] = self.folder.create(f"{pair.split}/metadata.jsonl")
        self.folder.write(f"{pair.split}/{name}", pair.image)
        line = {"file_name": name, CAPTION_COLUMN: pair.caption, **pair.metadata}
        text = json.dumps(line, ensure_ascii=False) + "\n"
        self._files[pair.split].write(text.encode())

    def close(self) -> None:
        """Close the metadata."""
        for file in self._files.values():
            file.close()

    def read(self) -> Iterator[tuple[str, str, str, Image.Image]]:
        """Yield (split, file stem, caption, image), as `datasets` loads the folder."""
        with tempfile.TemporaryDirectory() as cache, literal_path(self.folder.path) as path:
            splits = datasets.load_dataset("imagefolder", data_dir=str(path), cache_dir=cache)
            for split, dataset in splits.items():
                rows = dataset.cast_column("image", datasets.Image(decode=False))
                for row in rows.select_columns(["image", CAPTION_COLUMN]):
                    stem = Path(row["image"]["path"]).stem
                    decoded = datasets.Image().decode_example(row["image"])
                    yield str(split), stem, row[CAPTION_COLUMN], decoded


class Kohya(TrainingFormat):
    """What kohya's sd-scripts read with `--dataset_config dataset.toml`."""

    def _caption(self, pair: Pair) -> str:
        """Return the caption as one line: of a file with several, the trainer takes the first."""
        return " ".join(pair.caption.split())

    def _write(self, pair: Pair) -> None:
        path = f"{pair.split}/{pair.stem}"
        self.folder.write(f"{path}{pair.suffix}", pair.image)
        self.folder.write(f"{path}.txt", f"{self._caption(pair)}\n".encode())

    def close(self) -> None:
        """Write the configuration of the training split."""
        content = f"""\
# sd-scripts takes image_dir from the folder it is started in: start it here, or make it absolute.
[general]
caption_extension = ".txt"
enable_bucket = true

[[datasets]]
resolution = {self.resolution}

[[datasets.subsets]]
image_dir = "{TRAIN}"
num_repeats = 1
"""
        self.folder.write("dataset.toml", content.encode())

    def read(self) -> Iterator[tuple[str, str, str, Image.Image]]:
        """Yield (split, file stem, caption, image), by the rules of the trainer.

        It turns no image, whatever the file says.
        """
        root = self.folder.path
        config = tomllib.loads((root / "dataset.toml").read_text(encoding="utf-8"))
        suffix = config["general"]["caption_extension"]
        trained = config["datasets"][0]["subsets"][0]["image_dir"]
        for split in self.counts:
            folder = root / (trained if split == TRAIN else split)
            for image in sorted(folder.iterdir()):
                if image.suffix != suffix:
                    lines = image.with_suffix(suffix).read_text(encoding="utf-8").splitlines()
                    with Image.open(image) as opened:
                        yield split, image.stem, lines[0].strip(), opened


class WebDataset(TrainingFormat):
    """Tar archives of a fixed number of pairs; the last of a split has what is left."""

    kinds = frozenset(
        {"JPEG"}
    )  # readers take the kinds of files in the first samples for those of all

    def __init__(self, folder: HashedFolder, **settings: int) -> None:
        super().__init__(folder, **settings)
        self._archives: dict[str, list[Path]] = {}
        self._open: dict[str, tuple[tarfile.TarFile, HashedFile]] = {}

    def _write(self, pair: Pair) -> None:
        files = {
            pair.suffix: pair.image,
            ".txt": pair.caption.encode(),
            ".json": json.dumps({"caption": pair.caption, **pair.metadata}).encode(),
        }
        archive = self._archive(pair.split)
        for suffix, content in files.items():
            entry = tarfile.TarInfo(pair.stem + suffix)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))

    def close(self) -> None:
        """Finish the last archives."""
        for split in [*self._open]:
            self._finish(split)

    def read(self) -> Iterator[tuple[str, str, str, Image.Image]]:
        """Yield (split, key, caption, image), as `datasets` streams the archives."""
        with literal_path(self.folder.path) as folder:
            files = {s: [str(folder / p.name) for p in ps] for s, ps in self._archives.items()}
            splits = datasets.load_dataset("webdataset", data_files=files, streaming=True)
            for split, dataset in splits.items():
                for row in dataset.select_columns(["__key__", "txt", "jpg"]):
                    yield str(split), row["__key__"], row["txt"], row["jpg"]

    def _archive(self, split: str) -> tarfile.TarFile:
        """Return the archive that the next pair of a split goes into."""
        paths = self._archives.setdefault(split, [])
        if (self.counts[split] - 1) // self.pairs_per_archive == len(paths):
            if split in self._open:
                self._finish(split)
            name = f"{split}-{len(paths):05d}.tar"
            paths.append(self.folder.path / name)
            file = self.folder.create(name)  # `_finish` closes both
            written = cast("IO[bytes]", file)  # of which a stream of tar needs `write` alone
            self._open[split] = tarfile.open(fileobj=written, mode="w|"), file  # noqa: SIM115
        return self._open[split][0]

    def _finish(self, split: str) -> None:
        for opened in self._open.pop(split):
            opened.close()


FORMATS: Final[dict[str, type[TrainingFormat]]] = {
    "imagefolder": ImageFolderLayout,
    "kohya": Kohya,
    "webdataset": WebDataset,
}
