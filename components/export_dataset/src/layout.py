"""What a layout is: how pairs lie in a folder for a trainer, and the reader that proves it.

A layout keeps what it was given, and compares that with what its reader finds. The reader goes by
the trainer's own rules, from the files alone: it opens what the configuration names, no more.
"""

import shlex
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa
from masks import Mask
from picture_looks import FileLooks, Look, look_of, look_of_file
from PIL import Image
from read_pairs import ReadPair
from repeats import NOT_REPEATED, Part
from training_pairs import SPLITS, SUFFIXES, Pair

from fondant_spec.errors import InvalidDatasetError
from image_toolkit.publishing.hashed_folder import HashedFolder
from image_toolkit.training.base_models import BaseModel
from image_toolkit.training.splits import REGULARIZATION, TRAIN, VALIDATION
from image_toolkit.training.text_budgets import Budget
from image_toolkit.training.trained_models import model_to_train


@dataclass(frozen=True)
class ExportSettings:
    """What a trainer's configuration is made of.

    Attributes:
        base_model: The model to fine-tune; None for the first that the layout's trainer trains.
        resolution: The side in pixels to train at; None for the model's own.
        pairs_per_archive: Most pairs in one file of a layout that packs them.
        metadata: The types of the pairs' metadata.
        place: Where the folder is going to lie; empty if that is no local folder.
        several_captions: Whether the rows may have more than one caption.
        masks: Whether the rows have masks.
        repeats: Whether the rows say how often each is to be seen.
    """

    base_model: str | None = None
    resolution: int | None = None
    pairs_per_archive: int = 10_000
    metadata: Mapping[str, pa.DataType] = field(default_factory=dict)
    place: str = ""
    several_captions: bool = False
    masks: bool = False
    repeats: bool = False


class Layout(ABC):
    """Writes pairs into a folder, and reads them back.

    `captions` holds what was written, and `looks` what the captioned images look like, by split and
    file stem; `masks` what their masks look like, where the trainer takes some; `repeats` how often
    those are to be seen that are not seen once. `counts` and `sizes` say how many pairs there are
    in each split, and in each part of one.
    """

    image_kinds: ClassVar[frozenset[str]] = frozenset(SUFFIXES)
    """The image formats that the trainer reads well."""

    read_by_datasets: ClassVar[bool] = False
    """Whether it is `datasets` that opens the folder: tags have a column of their own then."""

    takes_several: ClassVar[bool] = False
    """Whether the trainer chooses among several captions itself; else it gets one, by lot."""

    masked_splits: ClassVar[tuple[str, ...]] = ()
    """The splits whose masks the trainer takes; in a table all rows have the same columns."""

    divides: ClassVar[bool] = False
    """Whether it is folders that the trainer repeats, so that each part needs its own."""

    def __init__(self, name: str, folder: HashedFolder, settings: ExportSettings) -> None:
        self.name = name
        self.folder = folder
        self.settings = settings
        self.model = model_to_train(name, settings.base_model)
        self.resolution = settings.resolution or self.model.resolution
        self.captions: dict[tuple[str, str], tuple[str, ...]] = {}
        self.looks: dict[tuple[str, str], Look] = {}
        self.masks: dict[tuple[str, str], Look] = {}
        self.budget = Budget(self.model.encoder, self.most_tokens(self.model))
        self.repeats: dict[tuple[str, str], int] = {}
        self.counts: Counter[str] = Counter()
        self.sizes: Counter[Part] = Counter()
        self.tokens = 0  # of the pair at hand

    @classmethod
    def most_tokens(cls, model: BaseModel) -> int:
        """Return how many tokens of a caption the trainer has the model read."""
        return model.most_tokens

    @property
    def splits(self) -> list[str]:
        """The splits that have pairs."""
        return [split for split in SPLITS if self.counts[split]]

    @property
    def parts(self) -> list[Part]:
        """The parts of these, those of a split in the order of their repeats."""
        return sorted(self.sizes, key=lambda part: (SPLITS.index(part.split), part.repeats))

    def seen(self) -> Counter[str]:
        """Return how many images an epoch has, by split."""
        return sum((Counter({p.split: n * p.repeats}) for p, n in self.sizes.items()), Counter())

    def folder_of(self, part: Part) -> str:
        """Return the folder of a part: that of its split, or one inside that says its repeats."""
        apart = self.divides and self.settings.repeats and part.split == TRAIN
        return f"{part.split}/{part.repeats}_images" if apart else part.split

    def place_of(self, pair: Pair) -> str:
        """Return where a pair lies, without a suffix."""
        return f"{self.folder_of(pair.part)}/{pair.stem}"

    @property
    def validates(self) -> bool:
        """Whether there is a validation split."""
        return self.counts[VALIDATION] > 0

    @property
    def regularizes(self) -> bool:
        """Whether there are images of the class alone."""
        return self.counts[REGULARIZATION] > 0

    @property
    def enter(self) -> str:
        """The shell command that enters the folder, from where its configuration is right."""
        return f"cd {shlex.quote(self.shown_place)}"

    @property
    def shown_place(self) -> str:
        """Where the folder is going to lie, or what stands for that where nobody knows."""
        return self.settings.place or "path/to/this/folder"

    def add(self, pair: Pair) -> None:
        """Write a pair."""
        key = (pair.split, pair.stem)
        self.looks[key] = pair.look
        self.captions[key] = self.texts(pair)
        if mask := self.mask(pair):
            self.masks[key] = look_of_file(mask.png)
        if pair.repeats != 1:
            self.repeats[key] = pair.repeats
        self.counts[pair.split] += 1
        self.sizes[pair.part] += 1
        self.tokens = self.budget.count(self.captions[key])
        self.write(pair)

    def texts(self, pair: Pair) -> tuple[str, ...]:
        """Return the captions as they are read, tags behind each unless `datasets` reads them."""
        texts = pair.texts
        chosen = texts.captions if self.takes_several else (texts.drawn(pair.stem),)
        captions = map(self.text, chosen)
        return tuple(captions if self.read_by_datasets else map(texts.with_tags, captions))

    def text(self, caption: str) -> str:
        """Return one caption as the trainer is going to read it."""
        return caption

    def mask(self, pair: Pair) -> Mask | None:
        """Return the mask of a pair, if the trainer takes it."""
        return pair.mask if pair.split in self.masked_splits else None

    @abstractmethod
    def write(self, pair: Pair) -> None:
        """Write the files of a pair."""

    def write_beside(self, pair: Pair, suffix: str, text: str) -> None:
        """Write the image of a pair, and a text of the same stem beside it."""
        path = self.place_of(pair)
        self.folder.write_shared(f"{path}{pair.suffix}", pair.image)
        self.folder.write(f"{path}{suffix}", text.encode())

    def write_mask(self, pair: Pair, name: str) -> None:
        """Write the mask of a pair, if there is one, as a file that several layouts may share."""
        if mask := self.mask(pair):
            self.folder.write_shared(name, mask.png)

    @abstractmethod
    def close(self) -> None:
        """Write what comes last, such as the trainer's configuration."""

    @abstractmethod
    def usage(self) -> str:
        """Return how to train from the folder, in Markdown."""

    def use(self) -> str:
        """Return that, and what becomes of the captions there."""
        notes = [self.budget.in_words()]
        if self.settings.several_captions and not self.takes_several:
            notes.append(
                "The trainer takes one caption an image: of several, one was drawn by lot."
            )
        if self.settings.masks and not self.masked_splits:
            notes.append("The trainer takes no masks, so there are none.")
        if self.settings.repeats and self.read_by_datasets:
            notes.append(NOT_REPEATED)
        return self.usage() + "\n" + "\n".join(notes) + "\n\n"

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
        for pair in self.read():
            written = missing.pop((pair.split, pair.stem), None)
            if written is None:
                return f"{pair.split}/{pair.stem} reads back, but was not written, or only once"
            if problem := self._problem(pair, written, looks):
                return f"{pair.split}/{pair.stem} reads back {problem}"
        if missing:
            split, stem = next(iter(missing))
            left = f"{len(missing)} of {len(self.captions)} pairs"
            return f"{left} do not read back, the first is {split}/{stem}"
        return None

    def _problem(self, pair: ReadPair, written: tuple[str, ...], looks: FileLooks) -> str | None:
        key = (pair.split, pair.stem)
        if pair.captions != written:
            return f"as {_shown(pair.captions)}, not {_shown(written)}"
        if looks.look_of(pair.image).differs(self.looks[key]):
            return "as another picture than was captioned"
        if _differ(pair.mask, self.masks.get(key)):
            return "with another mask than was given"
        if pair.repeats != (wanted := self.repeats.get(key, 1)):
            return f"to be seen {pair.repeats:g} times, not {wanted}"
        return None


def _differ(mask: Image.Image | None, meant: Look | None) -> bool:
    if mask is None or meant is None:
        return (mask is None) != (meant is None)
    return look_of(mask).differs(meant)


def _shown(captions: tuple[str, ...]) -> str:
    return " and ".join(map(repr, captions))
