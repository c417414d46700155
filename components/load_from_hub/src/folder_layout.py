"""What a local folder holds: tables, archives, or images; and which of them make which split.

Names of images never tell a split: `train_station.jpg` is a photo. Folders do, where every image
lies in one of them and one is for training. Of files of rows the names do, too (`test.csv`). What
is left out is said.
"""

import logging
import posixpath
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from caption_lines import lines_of_trainer
from data_files import suffix_of
from file_kinds import (
    ARCHIVE_SUFFIXES,
    CAPTION_SUFFIXES,
    TABLE_SUFFIXES,
    YAML_SUFFIXES,
    begins_as_grey_png,
    begins_as_image,
    is_metadata,
    is_sidecar_object,
    split_of_folder,
    split_of_table,
    stem_of,
    table_of,
)
from folder_files import Listing, LocalFolder, RemoteFolder
from image_folder import ImageFolder
from image_masks import Masks, masks_of
from listed_images import LISTED
from loaded_rows import Table
from zip_images import ZipImages

from fondant_spec.errors import InputDataError
from image_toolkit.images.image_files import has_image_suffix, kind_of
from image_toolkit.text_encodings import first_character

logger = logging.getLogger(__name__)

TRAIN: Final = "train"

# What tools write beside the data to say something of it.
_REPORTS: Final = frozenset(
    {
        *("export.json", "dataset_info.json", "dataset_infos.json", "state.json", "dataset.json"),
        *("concepts.json", "multidatabackend.json"),  # what OneTrainer and SimpleTuner are told
    }
)
_STATISTICS: Final = "_stats.json"  # what img2dataset counts


@dataclass
class Layout:
    """The files of a folder, by what they are. `unread` are those that nothing is made of."""

    folder: LocalFolder | RemoteFolder
    listing: Listing
    tables: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    metadata: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    archives: list[str] = field(default_factory=list)
    masks: dict[str, str] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)

    @property
    def is_image_folder(self) -> bool:
        """Whether the images themselves are the rows."""
        return bool(self.metadata or (self.images and not self.tables))

    @property
    def beside_tables(self) -> int:
        """How many images are passed over, since the rows come from table files beside them."""
        return 0 if self.is_image_folder else len(self.images)

    def left_out(self) -> str:
        """Return what is not loaded, with counts by suffix; empty where all is."""
        counts = self.listing.left_out + self.listing.left_out.__class__(map(kind_of, self.unread))
        return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))


def layout_of(
    folder: LocalFolder | RemoteFolder, listing: Listing, names: Collection[str]
) -> Layout:
    """Sort the files of a folder by what they are."""
    layout = Layout(folder, listing)
    for name in names:
        _kind(layout, name).append(name)
    others = [*layout.texts, *layout.tables, *layout.metadata]
    found = masks_of(layout.images, others, lambda name: _looks_as_mask(folder, name))
    layout.masks = found.of
    layout.images = sorted({*layout.images} - {*found.of.values()} - {*found.unused})
    _set_aside(layout)
    if layout.is_image_folder:
        layout.unread += found.unused
        _tell(folder, found)
    return layout


def _looks_as_mask(folder: LocalFolder | RemoteFolder, name: str) -> bool:
    """Return whether a file's header is that of a mask; not read where each costs a request."""
    return isinstance(folder, LocalFolder) and begins_as_grey_png(folder.file(name))


def _tell(folder: LocalFolder | RemoteFolder, masks: Masks) -> None:
    if counted := masks.counted():
        logger.info("%s: %s", folder.root, counted)
    for line in masks.warnings():
        logger.warning("%s: %s", folder.root, line)


def _kind(layout: Layout, name: str) -> list[str]:
    """Return the list that a file belongs on, going by itself alone."""
    if is_metadata(name):
        return layout.metadata
    if has_image_suffix(name):
        return layout.images
    if posixpath.basename(name).lower() in _REPORTS or name.endswith(_STATISTICS):
        return layout.unread
    by_suffix = {
        **dict.fromkeys((*TABLE_SUFFIXES, *ARCHIVE_SUFFIXES), layout.tables),
        **dict.fromkeys((*CAPTION_SUFFIXES, *YAML_SUFFIXES), layout.texts),
        ".zip": layout.archives,
    }
    known = by_suffix.get(suffix_of(name))
    if known is not None:
        return known
    looks = isinstance(layout.folder, LocalFolder) and begins_as_image(layout.folder.file(name))
    return layout.images if looks else layout.unread


def _set_aside(layout: Layout) -> None:
    """Set aside the tables that only tell of images or of archives beside them."""
    stems = {stem_of(image) for image in layout.images}
    folders = {part for stem in stems for part in _parents(stem)}
    archives = {stem_of(t) for t in layout.tables if suffix_of(t) in ARCHIVE_SUFFIXES}
    tables = [t for t in layout.tables if not (stem_of(t) in folders and _lists(layout, t))]
    layout.metadata += sorted({*layout.tables} - {*tables})
    layout.tables = []
    for table in tables:
        stem, suffix = stem_of(table), suffix_of(table)
        listed = stem in archives or (stem in folders and posixpath.basename(stem).isdigit())
        if suffix == ".json" and stem in stems:
            layout.texts.append(table)
        elif (
            layout.metadata
            or (suffix == ".parquet" and listed)
            or (suffix == ".json" and stems and not _is_array(layout, table))
        ):
            layout.unread.append(table)
        else:
            layout.tables.append(table)
    if layout.is_image_folder:
        beside = [text for text in layout.texts if stem_of(text) in stems]
        layout.unread += sorted({*layout.texts} - {*beside})
        layout.texts = beside
        layout.unread += layout.archives
        layout.archives = []
    else:
        layout.unread += [text for text in layout.texts if is_sidecar_object(text)]
        layout.texts = [text for text in layout.texts if not is_sidecar_object(text)]


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]


def _lists(layout: Layout, table: str) -> bool:
    """Return whether a table lists the images of the folder that has its name."""
    if suffix_of(table) != ".parquet":
        return False
    return LISTED in table_of(layout.folder.file(table)).columns([LISTED])


def _is_array(layout: Layout, table: str) -> bool:
    with layout.folder.file(table).open() as file:
        return first_character(file.read(64)) == "["


def tables_by_split(layout: Layout) -> dict[str, list[Table]]:
    """Return the tables to read for each split.

    Raises:
        InputDataError: there is nothing to read.
    """
    if layout.is_image_folder:
        return {s: [_images(layout, keep)] for s, keep in _image_splits(layout).items()}
    folder = layout.folder
    files, reader = layout.tables, table_of
    if not files and layout.archives:
        return {TRAIN: [ZipImages(folder.file(name)) for name in sorted(layout.archives)]}
    if not files:
        files = layout.texts
    if not files:
        told = layout.left_out()
        msg = (
            f"{folder.root}: holds nothing that can be loaded"
            f"{f' ({told})' if told else ''}; give a folder of images, or of data files."
        )
        raise InputDataError(msg)
    layout.unread += [n for n in (*layout.archives, *layout.texts) if n not in files]
    splits: dict[str, list[Table]] = defaultdict(list)
    for name in sorted(files):
        splits[split_of_table(name)].append(reader(folder.file(name)))
    return dict(splits)


def declared_split(layout: Layout, names: Collection[str]) -> list[Table]:
    """Return the tables of a split that the dataset's README says these files make.

    Raises:
        InputDataError: there is nothing to read.
    """
    if not layout.is_image_folder:
        return [table for tables in tables_by_split(layout).values() for table in tables]
    here, known = frozenset(names), frozenset(layout.listing.names)
    return [_images(layout, lambda path: path in here or path not in known)]


Keep = Callable[[str], bool]


def _image_splits(layout: Layout) -> Mapping[str, Keep]:
    """Return, for each split, what tells which paths are in it."""
    paths = [*layout.images, *layout.metadata, *layout.listing.faults]
    found = {split_of_folder(path) for path in paths}
    if TRAIN not in found:
        # All images are for training, so that no folder of them is another split as well.
        return {TRAIN: lambda _: True}
    named = {split: _in_split(split) for split in sorted(filter(None, found))}
    # Images beside the folders of the splits are for training.
    return {**named, TRAIN: lambda path: split_of_folder(path) in (TRAIN, None)}


def _in_split(split: str) -> Keep:
    return lambda path: split_of_folder(path) == split


def _images(layout: Layout, keep: Keep) -> Table:
    def kept(paths: Sequence[str]) -> list[str]:
        return [path for path in paths if keep(path)]

    faults = {path: fault for path, fault in layout.listing.faults.items() if keep(path)}
    return ImageFolder(
        layout.folder,
        kept(layout.images),
        metadata=layout.metadata,
        texts=kept(layout.texts),
        masks=layout.masks,
        faults=faults,
        keep=keep,
        lines=lines_of_trainer(layout.folder, layout.listing.names),
    )
