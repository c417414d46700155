"""What a layout is: how pairs lie in a folder for a trainer, and the reader that proves it.

A layout keeps what it was given, and compares that with what its reader finds. The reader goes by
the trainer's own rules, from the files alone: it opens what the configuration names, no more.
"""

import shlex
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

import pyarrow as pa
from base_models import BASE_MODELS, BaseModel
from hashed_folder import HashedFolder
from picture_looks import FileLooks, Look
from PIL import Image
from training_pairs import SUFFIXES, VALIDATION, Pair

from fondant_spec.errors import InvalidArgumentError, InvalidDatasetError

CAPTION_COLUMN: Final = "text"


@dataclass(frozen=True)
class ExportSettings:
    """What a trainer's configuration is made of.

    Attributes:
        base_model: The model to fine-tune; None for the first that the layout's trainer trains.
        resolution: The side in pixels to train at; None for the model's own.
        pairs_per_archive: Most pairs in one file of a layout that packs them.
        metadata: The types of the pairs' metadata.
        place: Where the folder is going to lie; empty if that is no local folder.
    """

    base_model: str | None = None
    resolution: int | None = None
    pairs_per_archive: int = 10_000
    metadata: Mapping[str, pa.DataType] = field(default_factory=dict)
    place: str = ""


class ReadPair(NamedTuple):
    """What a reader finds."""

    split: str
    stem: str
    caption: str
    image: Image.Image


class Layout(ABC):
    """Writes pairs into a folder, and reads them back.

    `captions` holds what was written, and `looks` what the captioned images look like, by split and
    file stem; `counts` how many there are in each split.
    """

    image_kinds: ClassVar[frozenset[str]] = frozenset(SUFFIXES)
    """The image formats that the trainer reads well."""

    base_models: ClassVar[tuple[str, ...]] = ("sd15", "sdxl", "flux")
    """The models that the trainer trains."""

    read_by_datasets: ClassVar[bool] = False
    """Whether it is `datasets` that opens the folder."""

    def __init__(self, name: str, folder: HashedFolder, settings: ExportSettings) -> None:
        self.name = name
        self.folder = folder
        self.settings = settings
        self.model = self.model_of(name, settings.base_model)
        self.resolution = settings.resolution or self.model.resolution
        self.captions: dict[tuple[str, str], str] = {}
        self.looks: dict[tuple[str, str], Look] = {}
        self.counts: Counter[str] = Counter()

    @classmethod
    def model_of(cls, name: str, base_model: str | None) -> BaseModel:
        """Return the model to fine-tune.

        Raises:
            InvalidArgumentError: the trainer does not train it.
        """
        key = base_model or cls.base_models[0]
        if key not in cls.base_models:
            msg = (
                f"export_dataset: the trainer of layout {name!r} trains no {key!r}; as base_model "
                f"choose {' or '.join(map(repr, cls.base_models))}, or leave the layout out."
            )
            raise InvalidArgumentError(msg)
        return BASE_MODELS[key]

    @property
    def validates(self) -> bool:
        """Whether there is a validation split."""
        return self.counts[VALIDATION] > 0

    @property
    def enter(self) -> str:
        """The shell command that enters the folder, from where its configuration is right."""
        return f"cd {shlex.quote(self.settings.place or 'path/to/this/folder')}"

    def add(self, pair: Pair) -> None:
        """Write a pair."""
        self.looks[pair.split, pair.stem] = pair.look
        self.captions[pair.split, pair.stem] = self.caption(pair)
        self.counts[pair.split] += 1
        self.write(pair)

    def caption(self, pair: Pair) -> str:
        """Return the caption as the trainer is going to read it."""
        return pair.caption

    @abstractmethod
    def write(self, pair: Pair) -> None:
        """Write the files of a pair."""

    def write_beside(self, pair: Pair, suffix: str, text: str) -> None:
        """Write the image of a pair, and a text of the same stem beside it."""
        path = f"{pair.split}/{pair.stem}"
        self.folder.write_shared(f"{path}{pair.suffix}", pair.image)
        self.folder.write(f"{path}{suffix}", text.encode())

    @abstractmethod
    def close(self) -> None:
        """Write what comes last, such as the trainer's configuration."""

    @abstractmethod
    def usage(self) -> str:
        """Return how to train from the folder, in Markdown."""

    @abstractmethod
    def read(self) -> Iterator[ReadPair]:
        """Yield all pairs, read the way the trainer does."""

    def front_matter(self, config: str) -> dict[str, Any]:
        """Return what the card tells `datasets` of the files; `config` is to name them."""
        del config
        return {}

    def check(self, looks: FileLooks | None = None) -> None:
        """Compare what is read with what was written; `looks` are shared with other layouts.

        Raises:
            InvalidDatasetError: naming the first difference.
        """
        try:
            problem = self._difference(looks or FileLooks())
        except (OSError, ValueError, LookupError, TypeError) as error:
            problem = f"it cannot be read as {self.name} ({type(error).__name__}: {error})"
        if problem:
            msg = f"{self.folder.path}: the export is not as it was written: {problem}."
            raise InvalidDatasetError(msg)

    def _difference(self, looks: FileLooks) -> str | None:
        missing = dict(self.captions)
        for split, stem, caption, image in self.read():
            written = missing.pop((split, stem), None)
            if written is None:
                return f"{split}/{stem} reads back, but was not written, or only once"
            if caption != written:
                return f"{split}/{stem} reads back as {caption!r}, not {written!r}"
            if looks.look_of(image).differs(self.looks[split, stem]):
                return f"{split}/{stem} reads back as another picture than was captioned"
        if missing:
            split, stem = next(iter(missing))
            left = f"{len(missing)} of {len(self.captions)} pairs"
            return f"{left} do not read back, the first is {split}/{stem}"
        return None


def one_line(caption: str) -> str:
    """Return a caption for trainers that take each line of a file for a caption of its own."""
    return " ".join(caption.split())


def image_files(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    """Return the files right in a folder that a trainer takes for images, by name."""
    files = (path for path in folder.iterdir() if path.is_file())
    return sorted(path for path in files if path.suffix.lower() in suffixes)
